import { setup, type ActorRefFrom } from 'xstate'

/** The events of the loop of a node. */
export type NodeLoopEvent =
  /** Its journal has been replayed and its daemons are known: from now on events and ticks are accepted. */
  | { readonly type: 'start' }
  /** A shutdown was taken from the queue. Nothing after it is applied. */
  | { readonly type: 'shut_down' }
  /** The last handle was closed. `queued`: events that have not been applied yet. */
  | { readonly type: 'handles_closed'; readonly queued: number }
  /** An event was applied. `queued`: events after it; `handles`: handles that may still publish. */
  | { readonly type: 'applied'; readonly queued: number; readonly handles: number }
  /** The last snapshot has been published and the executor has ended. */
  | { readonly type: 'finished' }

/**
 * The life of the loop of a node. It starts anew with every process; the state it computes is durable elsewhere.
 * Ticks and events are not events of this chart: they are accepted while it is running, and in no other state.
 */
export const nodeLoopMachine = setup({
  types: { events: {} as NodeLoopEvent },
  guards: {
    /** No handle can publish any more, and everything published has been applied. */
    isAbandoned: ({ event }) => {
      if (event.type === 'handles_closed') return event.queued === 0
      return event.type === 'applied' && event.queued === 0 && event.handles === 0
    },
  },
}).createMachine({
  id: 'node-loop',
  description: 'Whether the loop of a node accepts events and ticks.',
  initial: 'idle',
  states: {
    idle: {
      description: 'Queues events and applies none.',
      on: { start: 'running', shut_down: 'stopped' },
    },
    running: {
      description: 'Handles due ticks first, then events one at a time in order of arrival.',
      on: {
        shut_down: 'stopping',
        handles_closed: { guard: 'isAbandoned', target: 'stopping' },
        applied: { guard: 'isAbandoned', target: 'stopping' },
      },
    },
    stopping: {
      description: 'Refuses events, publishes once more and lets the executor finish.',
      on: { finished: 'stopped' },
    },
    stopped: { type: 'final' },
  },
})

/** The actor of a loop, as inspectors see it. */
export type NodeLoopActor = ActorRefFrom<typeof nodeLoopMachine>
