import { setup, type ActorRefFrom } from 'xstate'

/** The events of the executor of a node. */
export type ExecutorEvent =
  /** An action was admitted and is passed to the dispatcher. */
  | { readonly type: 'dispatch' }
  /** The dispatcher has answered, or thrown. `queued`: actions that have not been admitted yet. */
  | { readonly type: 'settle'; readonly queued: number }
  /** The loop has ended and enqueues nothing more. */
  | { readonly type: 'close'; readonly queued: number }

/** Executes the actions of a node one after another, as the contract with dispatchers requires. */
export const executorMachine = setup({
  types: { events: {} as ExecutorEvent },
  guards: {
    isEmpty: ({ event }) => event.type !== 'dispatch' && event.queued === 0,
  },
}).createMachine({
  id: 'executor',
  description: 'Carries out the actions of a node one after another.',
  initial: 'waiting',
  states: {
    waiting: {
      description: 'For an action, or for the time of one that was deferred.',
      on: { dispatch: 'dispatching', close: [{ guard: 'isEmpty', target: 'ended' }, { target: 'finishing' }] },
    },
    dispatching: {
      description: 'The dispatcher has an action and has not answered.',
      on: { settle: 'waiting', close: 'finishing' },
    },
    finishing: {
      description: 'Carries out what is queued; what was deferred is recorded as failed.',
      on: { settle: { guard: 'isEmpty', target: 'ended' } },
    },
    ended: { type: 'final' },
  },
})

/** The actor of an executor, as inspectors see it. */
export type ExecutorActor = ActorRefFrom<typeof executorMachine>
