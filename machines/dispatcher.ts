import { setup, type ActorRefFrom } from 'xstate'

/** What happens to a dispatcher. */
export type DispatcherEvent =
  | { readonly type: 'start' }
  /** What an earlier process left behind has been taken back. */
  | { readonly type: 'recovered' }
  | { readonly type: 'drain' }
  | { readonly type: 'drained' }

/**
 * The life of a dispatcher. Whether runs are promoted while it is dispatching is up to the engine, which
 * is durable; the dispatcher itself starts anew with every process.
 */
export const dispatcherMachine = setup({ types: { events: {} as DispatcherEvent } }).createMachine({
  id: 'dispatcher',
  initial: 'stopped',
  states: {
    stopped: { on: { start: 'recovering' } },
    recovering: {
      description: 'Takes back what a process that died held, and derives what the projection does not keep.',
      on: { recovered: 'dispatching', drain: 'draining' },
    },
    dispatching: { on: { drain: 'draining' } },
    draining: {
      description: 'Starts nothing any more; lets running attempts end.',
      on: { drained: 'ended' },
    },
    ended: { type: 'final' },
  },
})

/** A running dispatcher. */
export type DispatcherActor = ActorRefFrom<typeof dispatcherMachine>
