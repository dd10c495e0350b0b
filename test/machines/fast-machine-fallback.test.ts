import { describe, expect, it } from 'vitest'
import {
  assign,
  createActor,
  createMachine,
  emit,
  enqueueActions,
  fromCallback,
  raise,
  setup,
  spawnChild,
  type AnyStateMachine,
} from 'xstate'
import { fastMachine } from '../../machines/fast-machine.js'
import { findDifference, type Subject } from './support/differential.js'

interface Context {
  readonly count: number
  /** What custom actions did, in order; the same array for the whole life of an actor. */
  readonly log: unknown[]
}

interface Event {
  readonly type: string
  readonly by?: number
}

const base = {
  types: { context: {} as Context, input: {} as Partial<Context>, events: {} as Event },
  guards: {
    isBelow: ({ context }: { context: Context }, { limit }: { limit: number }) => context.count < limit,
    breaks: (): boolean => {
      throw new Error('the guard broke')
    },
  },
  actions: {
    note: ({ context }: { context: Context }, params: unknown) => {
      context.log.push(['note', context.count, params ?? null])
    },
    add: assign(({ context }: { context: Context }, params: { by: number }) => ({ count: context.count + params.by })),
    double: assign({ count: ({ context }: { context: Context }) => context.count * 2 }),
    throwUp: () => {
      throw new Error('the action broke')
    },
    throwInAssign: assign(() => {
      throw new Error('the assigner broke')
    }),
  },
} as const

const context = ({ input }: { input: Partial<Context> }): Context => ({ count: input.count ?? 1, log: input.log ?? [] })
const kit = setup(base as never) as unknown as { createMachine(config: unknown): AnyStateMachine }
type Spawn = (logic: typeof idle, options?: { id: string }) => { readonly id: string }

const idle = fromCallback(() => {})
const events = (...types: string[]): Event[] => types.map((type) => ({ type, by: 2 }))
const input = (): Partial<Context> => ({ count: 1, log: [] })

function machineOf(config: object): AnyStateMachine {
  return kit.createMachine({ context, ...config })
}

const subjects: Record<string, Subject> = {
  'named actions with params, in order, each seeing the context the ones before it left': {
    machine: machineOf({
      initial: 'a',
      states: {
        a: {
          on: {
            go: {
              target: 'b',
              actions: [
                'note',
                { type: 'add', params: { by: 3 } },
                { type: 'note', params: { at: 'middle' } },
                'double',
                'note',
              ],
            },
            stay: { actions: [{ type: 'add', params: { by: 1 } }] },
          },
        },
        b: { on: { back: { target: 'a', actions: assign({ count: 0 }) } } },
      },
    }),
    input,
    events: events('go', 'stay', 'back'),
  },
  'params that are functions': {
    machine: machineOf({
      initial: 'a',
      states: {
        a: {
          on: {
            go: { target: 'b', actions: { type: 'add', params: ({ event }: { event: Event }) => ({ by: event.by }) } },
          },
        },
        b: {
          on: {
            go: {
              target: 'a',
              actions: { type: 'note', params: ({ context: { count } }: { context: Context }) => count },
            },
          },
        },
      },
    }),
    input,
    events: events('go'),
  },
  'guards with params, literal and computed, and several candidates': {
    machine: machineOf({
      initial: 'a',
      states: {
        a: {
          on: {
            go: [
              { guard: { type: 'isBelow', params: { limit: 3 } }, actions: ['double', 'note'] },
              {
                guard: { type: 'isBelow', params: ({ event }: { event: Event }) => ({ limit: (event.by ?? 0) * 4 }) },
                target: 'b',
              },
              { actions: 'note' },
            ],
          },
        },
        b: { on: { go: { target: 'a', actions: 'double' } } },
      },
    }),
    input,
    events: events('go'),
  },
  'raised and emitted events, and actions enqueued at run time': {
    machine: machineOf({
      initial: 'a',
      states: {
        a: {
          on: {
            go: { target: 'b', actions: [raise({ type: 'on' }), 'note', emit({ type: 'left', from: 'a' })] },
            many: {
              actions: enqueueActions(({ enqueue }) => {
                enqueue({ type: 'add', params: { by: 1 } })
                enqueue('note')
              }),
            },
          },
        },
        b: { on: { on: { target: 'c', actions: 'double' } } },
        c: { on: { go: { target: 'a', actions: emit(({ context: { count } }) => ({ type: 'back', count })) } } },
      },
    }),
    input,
    events: events('go', 'many', 'on'),
  },
  'transitions to the state that is left, plain and re-entering': {
    machine: machineOf({
      initial: 'a',
      states: {
        a: {
          on: {
            self: { target: 'a', actions: 'note' },
            again: { target: 'a', reenter: true, actions: 'double' },
            go: 'b',
          },
        },
        b: { on: { go: { target: 'a', reenter: true } } },
      },
    }),
    input,
    events: events('self', 'again', 'go'),
  },
  'wildcards, whole and partial, and events forbidden below': {
    machine: machineOf({
      initial: 'a',
      on: { '*': { actions: { type: 'note', params: 'any' } }, 'job.*': { actions: { type: 'note', params: 'job' } } },
      states: {
        a: { on: { 'job.start': 'b', 'job.start.*': { actions: { type: 'note', params: 'part' } }, hush: undefined } },
        b: { on: { '*': { actions: { type: 'note', params: 'b' } }, 'job.end': 'a', hush: {} } },
      },
    }),
    input,
    events: events('job.start', 'job.start.now', 'job.end', 'job.x', 'hush', 'other', 'xstate.done.actor.x'),
  },
  'a partial wildcard: for its prefix and all below it, the longest first, and not for what only begins like it': {
    machine: machineOf({
      initial: 'a',
      states: {
        a: {
          on: {
            '*': { actions: { type: 'note', params: 'any' } },
            'job.*': [
              { guard: { type: 'isBelow', params: { limit: 3 } }, actions: { type: 'note', params: 'job' } },
              { guard: { type: 'isBelow', params: { limit: 5 } }, target: 'b' },
            ],
            'job.end.*': { actions: ['double', { type: 'note', params: 'end' }] },
            'job.end.now': { guard: { type: 'isBelow', params: { limit: 2 } }, actions: 'double' },
          },
        },
        b: { on: { 'job.*': 'a', 'jobs.*': { actions: { type: 'note', params: 'jobs' } } } },
      },
    }),
    input,
    events: events('job', 'jobless', 'job.x', 'job.end', 'job.end.now', 'job.end.later', 'jobs', '*'),
  },
  'transitions of the root: to a child, to itself, to the state it is in, and to nowhere': {
    machine: machineOf({
      id: 'whole',
      initial: 'a',
      on: {
        toB: { target: '.b', actions: 'double' },
        restart: { target: '#whole', actions: 'note' },
        reset: { target: '#whole', reenter: true },
        nudge: { actions: 'note' },
      },
      states: { a: { on: { go: 'b' }, tags: ['first'] }, b: { on: { nudge: { actions: 'double' } }, meta: { b: 1 } } },
    }),
    input,
    events: events('toB', 'restart', 'reset', 'nudge', 'go'),
  },
  'guards, actions and assigners that throw, after others have acted': {
    machine: machineOf({
      initial: 'a',
      states: {
        a: {
          on: {
            go: { target: 'b', actions: 'note' },
            guard: { guard: 'breaks', target: 'b' },
            action: { target: 'b', actions: ['note', 'double', 'throwUp', 'note'] },
            assigner: { target: 'b', actions: ['note', 'throwInAssign', 'note'] },
          },
        },
        b: { on: { go: 'a', action: { actions: ['throwUp'] } } },
      },
    }),
    input,
    events: events('go', 'go', 'go', 'guard', 'action', 'assigner'),
  },
  'outputs, tags and meta of final states': {
    machine: machineOf({
      id: 'ends',
      initial: 'a',
      output: ({ context: { count }, event }: { context: Context; event: unknown }) => ({ count, event }),
      on: { abort: { target: '.failed', actions: 'note' } },
      states: {
        a: { on: { go: { target: 'done', actions: 'double' }, stay: { actions: 'double' } } },
        done: { type: 'final', tags: ['over', 'good'], meta: { note: 'done' } },
        failed: { type: 'final', tags: ['over'] },
      },
    }),
    input,
    events: events('stay', 'stay', 'go', 'abort'),
  },
  'an output that is a value': {
    machine: machineOf({
      initial: 'a',
      output: { fixed: true },
      states: { a: { on: { go: 'b' } }, b: { type: 'final' } },
    }),
    input,
    events: events('go'),
  },
  'an output that throws': {
    machine: machineOf({
      initial: 'a',
      output: () => {
        throw new Error('the output broke')
      },
      states: { a: { on: { go: 'b' } }, b: { type: 'final' } },
    }),
    input,
    events: events('go'),
  },
  'a context that is a value': {
    machine: createMachine({
      context: { count: 0 },
      initial: 'a',
      states: { a: { on: { go: { target: 'b', actions: assign({ count: 1 }) } } }, b: { on: { go: 'a' } } },
    }),
    events: events('go'),
  },
  'no context at all': {
    machine: createMachine({ initial: 'a', states: { a: { on: { go: 'b' } }, b: { on: { go: 'a' } } } }),
    events: events('go'),
  },
  'a context that breaks': {
    machine: createMachine({
      context: () => {
        throw new Error('the context broke')
      },
      initial: 'a',
      states: { a: {} },
    }),
    events: events('go'),
  },
  'a context that spawns': {
    machine: createMachine({
      context: ({ spawn }: { spawn: Spawn }) => ({ child: spawn(idle, { id: 'child' }).id }),
      initial: 'a',
      states: { a: { on: { go: 'b' } }, b: { type: 'final' } },
    }),
    events: events('go'),
    isPersistable: false,
  },
  'children spawned by an action, which the end stops': {
    machine: createMachine({
      initial: 'a',
      states: {
        a: {
          on: {
            spawn: { actions: spawnChild(idle, { id: 'child' }) },
            go: 'b',
            end: 'over',
          },
        },
        b: { on: { go: 'a', end: 'over' } },
        over: { type: 'final' },
      },
    }),
    events: events('spawn', 'go', 'end', 'end'),
    isPersistable: false,
  },
  'an end that is the beginning': {
    machine: machineOf({ initial: 'over', states: { over: { type: 'final' } }, output: 1 }),
    input,
    events: events('go'),
  },
  'no states at all': {
    machine: machineOf({ on: { go: { actions: ['double', 'note'] }, '*': { actions: 'note' } } }),
    input,
    events: events('go', 'other'),
  },
  'an event whose type is the wildcard': {
    machine: machineOf({ initial: 'a', states: { a: { on: { '*': 'b', go: 'b' } }, b: { on: { go: 'a' } } } }),
    input,
    events: events('go', 'go', 'go', '*'),
  },
  'an action that nobody implemented': {
    machine: machineOf({
      initial: 'a',
      states: { a: { on: { go: { target: 'b', actions: ['note', 'missing'] } } }, b: { on: { go: 'a' } } },
    }),
    input,
    events: events('go'),
  },
  'an anonymous and a named inline action': {
    machine: machineOf({
      initial: 'a',
      states: {
        a: {
          on: {
            go: {
              actions: [
                [({ context: { log } }: { context: Context }) => log.push('anonymous')][0],
                function named({ context: { log } }: { context: Context }) {
                  log.push('named')
                },
              ],
            },
          },
        },
      },
    }),
    input,
    events: events('go'),
  },
  'an error of a child, handled by name or not at all': {
    machine: machineOf({
      initial: 'a',
      states: { a: { on: { 'xstate.error.actor.known': 'b', go: 'b' } }, b: { on: { go: 'a' } } },
    }),
    input,
    events: [
      ...events('go', 'go', 'go'),
      { type: 'xstate.error.actor.known', error: new Error('broken') },
      { type: 'xstate.error.actor.unknown', error: new Error('broken') },
    ],
  },
}

describe('a fast machine cannot be told from the chart itself, given', () => {
  it.each(Object.entries(subjects))('%s', (_, subject) => {
    const machine = fastMachine(subject.machine).machine
    expect(machine).not.toBe(subject.machine)
    expect(findDifference(machine, subject, 60)).toBeUndefined()
  })
})

describe('a chart is returned unchanged when it has', () => {
  const done = { type: 'final' } as const
  it.each(
    Object.entries({
      'a compound state': { initial: 'a', states: { a: { initial: 'b', states: { b: {} } } } },
      'parallel regions': { type: 'parallel', states: { a: {}, b: {} } },
      'an entry action': { initial: 'a', states: { a: { entry: 'note' } } },
      'an exit action': { initial: 'a', states: { a: { exit: 'note' } } },
      'an entry action of the root': { initial: 'a', entry: 'note', states: { a: {} } },
      'an eventless transition': { initial: 'a', states: { a: { always: 'b' }, b: {} } },
      'a delayed transition': { initial: 'a', states: { a: { after: { 1000: 'b' } }, b: {} } },
      'an invoked actor': { initial: 'a', states: { a: { invoke: { src: fromCallback(() => {}) } } } },
      'a history state': { initial: 'a', states: { a: {}, past: { type: 'history' } } },
      'an output of a final state': { initial: 'a', states: { a: { ...done, output: 1 } }, output: 2 },
    }),
  )('%s', (_, config) => {
    const machine = machineOf(config)
    expect(fastMachine(machine).machine).toBe(machine)
  })
})

it('refuses to spawn from an assigner, saying so, instead of losing the child', () => {
  const machine = createMachine({
    initial: 'a',
    states: { a: { on: { go: { actions: assign(({ spawn }) => ({ child: spawn(fromCallback(() => {})) })) } } } },
  })
  const actor = createActor(fastMachine(machine).machine)
  actor.subscribe({ error: () => {} })
  actor.start()
  actor.send({ type: 'go' })
  expect(actor.getSnapshot()).toMatchObject({
    status: 'error',
    error: { message: expect.stringContaining('cannot spawn') },
  })
})
