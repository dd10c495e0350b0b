import { assign, createActor, setup, type ActorRefFrom } from 'xstate'
import type { Arrangement } from '../operations.js'

const operationMachine = setup({
  types: {
    context: {} as { progress: number; content: string | undefined },
    events: {} as { type: 'start' } | { type: 'progress' } | { type: 'complete'; content: string },
    output: {} as string | undefined,
  },
}).createMachine({
  context: { progress: 0, content: undefined },
  output: ({ context }) => context.content,
  initial: 'provisioning',
  states: {
    provisioning: { on: { start: 'running' } },
    running: {
      on: {
        progress: { actions: assign({ progress: ({ context }) => context.progress + 1 }) },
        complete: { target: 'completed', actions: assign({ content: ({ event }) => event.content }) },
      },
    },
    completed: { type: 'final' },
  },
})

type Operation = ActorRefFrom<typeof operationMachine>

interface Live {
  readonly actor: Operation
  readonly resolve: (content: string) => void
}

interface Book {
  readonly operations: Map<string, Live>
  readonly feed: { seq: number; id: string; content: string }[]
}

type Command =
  | { type: 'register'; id: string; resolve: (content: string) => void }
  | { type: 'start' | 'progress'; id: string }
  | { type: 'complete'; id: string; content: string }

const statusOf = ({ operations }: Book, id: string): string | undefined => operations.get(id)?.actor.getSnapshot().value

/** The leanest arrangement of stock XState: a parent machine whose context refers to a Map of actors made with it as parent. */
const parentMachine = setup({
  types: { context: {} as Book, events: {} as Command },
  guards: {
    isFree: ({ context, event }) => !context.operations.has(event.id),
    isProvisioning: ({ context, event }) => statusOf(context, event.id) === 'provisioning',
    isRunning: ({ context, event }) => statusOf(context, event.id) === 'running',
  },
}).createMachine({
  context: () => ({ operations: new Map(), feed: [] }),
  on: {
    register: {
      guard: 'isFree',
      actions: ({ context, event, self }) => {
        const actor = createActor(operationMachine, { parent: self, id: 'op' })
        context.operations.set(event.id, { actor, resolve: event.resolve })
        actor.start()
      },
    },
    start: {
      guard: 'isProvisioning',
      actions: ({ context, event }) => context.operations.get(event.id)?.actor.send({ type: 'start' }),
    },
    progress: {
      guard: 'isRunning',
      actions: ({ context, event }) => context.operations.get(event.id)?.actor.send({ type: 'progress' }),
    },
    complete: {
      guard: 'isRunning',
      actions: ({ context: { operations, feed }, event }) => {
        const live = operations.get(event.id)
        if (live === undefined) return
        live.actor.send(event)
        operations.delete(event.id)
        feed.push({ seq: feed.length + 1, id: event.id, content: event.content })
        live.resolve(event.content)
      },
    },
  },
})

/** Stock XState without a library around it: no retention, no bounds, no refusals with reasons. */
export function plainXState(): Arrangement {
  const parent = createActor(parentMachine)
  parent.start()
  const watches: Promise<string>[] = []
  return {
    register(id) {
      watches.push(new Promise((resolve) => parent.send({ type: 'register', id, resolve })))
    },
    finish(id) {
      parent.send({ type: 'start', id })
      parent.send({ type: 'progress', id })
      parent.send({ type: 'complete', id, content: 'done' })
    },
    settled: async () => {
      await Promise.all(watches)
      parent.stop()
    },
  }
}
