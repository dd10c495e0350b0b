import { assign, emit, setup, type ActorRefFrom } from 'xstate'
import type { OperationId, TurnId, WaitAllSatisfied, WaitRequestId } from './operation-vocabulary.js'

/** What one barrier remembers; the member list never changes and is shared, not copied. */
export interface WaitAllBarrierContext {
  readonly requestId: WaitRequestId
  readonly turnId: TurnId
  readonly operationIds: readonly OperationId[]
  /** Members that have not ended. */
  readonly remaining: number
  readonly fault: string | undefined
}

/** What one barrier starts from; `remaining` counts the members that are still live at that moment. */
export type WaitAllBarrierInput = Omit<WaitAllBarrierContext, 'fault'>

/** What happens to a barrier. */
export type WaitAllBarrierEvent =
  /** Comes once, after the listener is in place: a wait for what has ended already is satisfied at once. */
  | { readonly type: 'begin' }
  | { readonly type: 'member_ended' }
  | { readonly type: 'cancel' }
  | { readonly type: 'fault'; readonly cause: string }
  | { readonly type: 'acknowledge' }

/** What a barrier tells the turn, exactly once. */
export type WaitAllBarrierEmitted = { readonly type: 'satisfied'; readonly obligation: WaitAllSatisfied }

/**
 * One wait for a set of operations. It counts members down instead of testing them all, so that one
 * ending costs the same however many members there are, and it is done only when the obligation it
 * emitted has been acknowledged (O-96, O-103).
 */
export const waitAllBarrierMachine = setup({
  types: {
    context: {} as WaitAllBarrierContext,
    input: {} as WaitAllBarrierInput,
    events: {} as WaitAllBarrierEvent,
    emitted: {} as WaitAllBarrierEmitted,
  },
  guards: {
    noMemberIsLeft: ({ context }) => context.remaining === 0,
    isLastMember: ({ context }) => context.remaining === 1,
  },
  actions: {
    countMember: assign({ remaining: ({ context }) => context.remaining - 1 }),
    keepFault: assign({ fault: ({ event }) => (event.type === 'fault' ? event.cause : undefined) }),
    emitObligation: emit(({ context }) => ({
      type: 'satisfied' as const,
      obligation: {
        waitRequestId: context.requestId,
        turnId: context.turnId,
        operationIds: context.operationIds,
      },
    })),
  },
}).createMachine({
  id: 'wait-all-barrier',
  description: 'One wait for a set of operations, until its obligation is acknowledged.',
  context: ({ input }) => ({ ...input, fault: undefined }),
  initial: 'waiting',
  states: {
    waiting: {
      on: {
        begin: { guard: 'noMemberIsLeft', actions: 'emitObligation', target: 'satisfied' },
        member_ended: [
          { guard: 'isLastMember', actions: ['countMember', 'emitObligation'], target: 'satisfied' },
          { actions: 'countMember' },
        ],
        cancel: 'cancelled',
        fault: { actions: 'keepFault', target: 'faulted' },
      },
    },
    satisfied: {
      description: 'The turn owes an acknowledgement.',
      on: { acknowledge: 'acknowledged' },
    },
    acknowledged: { type: 'final' },
    cancelled: { type: 'final' },
    faulted: { type: 'final' },
  },
})

/** A running barrier. */
export type WaitAllBarrierActor = ActorRefFrom<typeof waitAllBarrierMachine>
