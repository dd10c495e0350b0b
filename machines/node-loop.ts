import { setup, type ActorRefFrom } from 'xstate'

/** What happens to the loop of a node. */
export type NodeLoopEvent =
  /** Its journal has been read back and its daemons are accounted for: events and ticks are taken from now on. */
  | { readonly type: 'start' }
  /** A shutdown was taken from the queue: nothing behind it is applied. */
  | { readonly type: 'shut_down' }
  /** The last handle was closed. `queued`: events that are still to be applied. */
  | { readonly type: 'handles_closed'; readonly queued: number }
  /** An event was applied. `queued`: those behind it, `handles`: who may still publish. */
  | { readonly type: 'applied'; readonly queued: number; readonly handles: number }
  /** The last snapshot is published and the executor has ended. */
  | { readonly type: 'finished' }

/**
 * The life of the loop of a node. It begins anew with every process; what it folds is durable elsewhere. Ticks and events
 * are no moves of this chart: they are taken while it is running, and nothing is taken in any other state.
 */
export const nodeLoopMachine = setup({
  types: { events: {} as NodeLoopEvent },
  guards: {
    /** Nobody can publish any more, and everything that was published has been applied. */
    isAbandoned: ({ event }) => {
      if (event.type === 'handles_closed') return event.queued === 0
      return event.type === 'applied' && event.queued === 0 && event.handles === 0
    },
  },
}).createMachine({
  id: 'node-loop',
  description: 'Whether the loop of a node takes events and ticks.',
  initial: 'idle',
  states: {
    idle: {
      description: 'Takes events into its queue, applies none.',
      on: { start: 'running', shut_down: 'stopped' },
    },
    running: {
      description: 'Ticks first, then events in the order of their arrival, one at a time.',
      on: {
        shut_down: 'stopping',
        handles_closed: { guard: 'isAbandoned', target: 'stopping' },
        applied: { guard: 'isAbandoned', target: 'stopping' },
      },
    },
    stopping: {
      description: 'Refuses events; publishes once more and lets the executor finish what it has.',
      on: { finished: 'stopped' },
    },
    stopped: { type: 'final' },
  },
})

/** A running loop, as an inspector sees it. */
export type NodeLoopActor = ActorRefFrom<typeof nodeLoopMachine>
