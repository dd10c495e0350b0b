import { assign, emit, setup, type ActorRefFrom } from 'xstate'
import type { OperationId, TurnId, WaitAllSatisfied, WaitRequestId } from './operation-vocabulary.js'

/** The context of one barrier. The member list never changes and is shared, not copied. */
export interface WaitAllBarrierContext {
  readonly requestId: WaitRequestId
  readonly turnId: TurnId
  readonly operationIds: readonly OperationId[]
  /** Number of members that have not ended. */
  readonly remaining: number
  readonly fault: string | undefined
}

/** The input of one barrier. `remaining` is the number of members that are still live at that moment. */
export type WaitAllBarrierInput = Omit<WaitAllBarrierContext, 'fault'>

/** The events of a barrier. */
export type WaitAllBarrierEvent =
  /** Sent once, after the listener has been registered: a wait for members that have all ended is satisfied at once. */
  | { readonly type: 'begin' }
  | { readonly type: 'member_ended' }
  | { readonly type: 'cancel' }
  | { readonly type: 'fault'; readonly cause: string }
  | { readonly type: 'acknowledge' }

/** Emitted to the turn exactly once. */
export type WaitAllBarrierEmitted = { readonly type: 'satisfied'; readonly obligation: WaitAllSatisfied }

/**
 * One wait for a set of operations. It counts its members down instead of testing all of them, so that each end costs
 * the same however many members there are. It is done only once the obligation that it emitted has been acknowledged
 * (O-96, O-103).
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
  description: 'One wait for a set of operations, from the request until the acknowledgement.',
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
      description: 'All operations have ended. The turn has to acknowledge it.',
      on: { acknowledge: 'acknowledged' },
    },
    acknowledged: { type: 'final' },
    cancelled: { type: 'final' },
    faulted: { type: 'final' },
  },
})

/** The actor of a barrier. */
export type WaitAllBarrierActor = ActorRefFrom<typeof waitAllBarrierMachine>
