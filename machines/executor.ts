import { setup, type ActorRefFrom } from 'xstate'

/** What happens to the executor of a node. */
export type ExecutorEvent =
  /** An action was admitted and is handed to the dispatcher. */
  | { readonly type: 'dispatch' }
  /** The dispatcher has answered, or thrown. `queued`: actions that are still to be admitted. */
  | { readonly type: 'settle'; readonly queued: number }
  /** The loop has ended and enqueues nothing any more. */
  | { readonly type: 'close'; readonly queued: number }

/** How the actions of a node are carried out: one after another, which is a part of the contract with dispatchers. */
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

/** A running executor, as an inspector sees it. */
export type ExecutorActor = ActorRefFrom<typeof executorMachine>
