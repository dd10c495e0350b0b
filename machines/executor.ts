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
  description: 'Executes the actions of a node one at a time.',
  initial: 'waiting',
  states: {
    waiting: {
      description: 'Waits for an action, or until a deferred action is due.',
      on: { dispatch: 'dispatching', close: [{ guard: 'isEmpty', target: 'ended' }, { target: 'finishing' }] },
    },
    dispatching: {
      description: 'The dispatcher is working on an action.',
      on: { settle: 'waiting', close: 'finishing' },
    },
    finishing: {
      description: 'Executes what is queued. Deferred actions are recorded as failed.',
      on: { settle: { guard: 'isEmpty', target: 'ended' } },
    },
    ended: { type: 'final' },
  },
})

/** The actor of an executor, as inspectors see it. */
export type ExecutorActor = ActorRefFrom<typeof executorMachine>
