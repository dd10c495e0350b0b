import { and, assign, setup, type ActorRefFrom } from 'xstate'
import type { OperationId, TurnId } from './operation-vocabulary.js'

/** Whether a turn waits for an operation or only records its id. */
export type WaitPolicy = 'barrier' | 'detached'

/** An operation that a tool call started. */
export interface AsyncOperationRef {
  readonly operationId: OperationId
  readonly waitPolicy: WaitPolicy
}

/** The context of a turn. */
export interface TurnContext {
  readonly turnId: TurnId
  readonly pendingOperations: readonly AsyncOperationRef[]
  /** Members of the barrier that the turn waits for, each once; empty if it waits for nothing. */
  readonly barrierIds: readonly OperationId[]
  readonly failure: string | undefined
}

/** The events of a turn. Each names the turn that it is meant for. */
export type TurnEvent =
  | {
      readonly type: 'register_pending_operations'
      readonly turnId: TurnId
      readonly refs: readonly AsyncOperationRef[]
    }
  | {
      readonly type: 'operations_barrier_satisfied'
      readonly turnId: TurnId
      readonly operationIds: readonly OperationId[]
    }
  | { readonly type: 'tool_calls_resolved'; readonly turnId: TurnId }
  | { readonly type: 'boundary_drained'; readonly turnId: TurnId }
  | { readonly type: 'finish'; readonly turnId: TurnId }
  | { readonly type: 'fail'; readonly turnId: TurnId; readonly reason: string }

function barrierIdsOf(refs: readonly AsyncOperationRef[]): readonly OperationId[] {
  const awaited = refs.filter(({ waitPolicy }) => waitPolicy === 'barrier')
  return [...new Set(awaited.map(({ operationId }) => operationId))]
}

/**
 * One turn of an agent, as far as background operations matter to it (O-103). A turn with barrier operations cannot
 * resolve its tool calls before the obligation of the barrier has come back unchanged. Detached operations are
 * recorded and never awaited.
 */
export const turnMachine = setup({
  types: {
    context: {} as TurnContext,
    input: {} as { readonly turnId: TurnId },
    events: {} as TurnEvent,
  },
  guards: {
    isCurrentTurn: ({ context, event }) => event.turnId === context.turnId,
    answersTheBarrier: ({ context, event }) => {
      if (event.type !== 'operations_barrier_satisfied') return false
      const answered = new Set(event.operationIds)
      return answered.size === context.barrierIds.length && context.barrierIds.every((id) => answered.has(id))
    },
    isBarrierEmpty: ({ context }) => context.barrierIds.length === 0,
  },
  actions: {
    keepPendingOperations: assign(({ event }) =>
      event.type === 'register_pending_operations'
        ? { pendingOperations: event.refs, barrierIds: barrierIdsOf(event.refs) }
        : {},
    ),
    clearBarrier: assign({ pendingOperations: [], barrierIds: [] }),
    keepFailure: assign({ failure: ({ event }) => (event.type === 'fail' ? event.reason : undefined) }),
  },
}).createMachine({
  id: 'turn',
  description: 'One turn of an agent, in relation to its background operations.',
  context: ({ input }) => ({ turnId: input.turnId, pendingOperations: [], barrierIds: [], failure: undefined }),
  initial: 'calling_llm',
  states: {
    calling_llm: {
      on: {
        register_pending_operations: {
          guard: 'isCurrentTurn',
          actions: 'keepPendingOperations',
          target: 'waiting_for_operations',
        },
        finish: { guard: 'isCurrentTurn', target: 'finished' },
        fail: { guard: 'isCurrentTurn', actions: 'keepFailure', target: 'failed' },
      },
    },
    waiting_for_operations: {
      on: {
        register_pending_operations: { guard: 'isCurrentTurn', actions: 'keepPendingOperations' },
        operations_barrier_satisfied: { guard: and(['isCurrentTurn', 'answersTheBarrier']), actions: 'clearBarrier' },
        tool_calls_resolved: {
          guard: and(['isCurrentTurn', 'isBarrierEmpty']),
          target: 'draining_boundary',
          description: 'Refused while the barrier has outstanding members, so that the boundary is never skipped.',
        },
        fail: { guard: 'isCurrentTurn', actions: 'keepFailure', target: 'failed' },
      },
    },
    draining_boundary: {
      on: {
        boundary_drained: { guard: 'isCurrentTurn', target: 'calling_llm' },
        fail: { guard: 'isCurrentTurn', actions: 'keepFailure', target: 'failed' },
      },
    },
    finished: { type: 'final' },
    failed: { type: 'final' },
  },
})

/** The actor of a turn. */
export type TurnActor = ActorRefFrom<typeof turnMachine>
