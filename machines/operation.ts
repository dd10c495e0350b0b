import { and, assign, or, setup, stateIn, type ActorRefFrom, type SnapshotFrom } from 'xstate'
import {
  expectsPeer,
  type OperationAction,
  type OperationId,
  type OperationKind,
  type OperationOutcome,
  type TerminalAction,
  type TerminalStatus,
} from './operation-vocabulary.js'

/** The context of the chart of one operation. */
export interface OperationContext {
  readonly id: OperationId
  readonly kind: OperationKind
  readonly displayName: string
  readonly peerReady: boolean
  readonly progressCount: number
  /** Present exactly in the terminal states. Its type is the state. */
  readonly outcome: OperationOutcome | undefined
}

/** The input of an operation's chart. */
export type OperationInput = Pick<OperationContext, 'id' | 'kind' | 'displayName'>

/** The events of one operation. Terminal events carry the outcome that they lead to. */
export type OperationEvent =
  | { readonly type: Exclude<OperationAction, TerminalAction> }
  | { readonly type: TerminalAction; readonly outcome: OperationOutcome }

/** A terminal transition: legal only with an outcome of the status that it leads to (O-20). */
function endAs<Status extends TerminalStatus>(status: Status) {
  return { target: status, guard: { type: 'outcomeIs', params: { status } }, actions: 'keepOutcome' } as const
}

/**
 * The life of one operation. This chart is the table of legality (O-18, O-20), which is defined nowhere else: the
 * registry asks it, and a refusal names the guard that failed.
 */
export const operationMachine = setup({
  types: {
    context: {} as OperationContext,
    input: {} as OperationInput,
    events: {} as OperationEvent,
    output: {} as OperationOutcome | undefined,
  },
  guards: {
    outcomeIs: ({ event }, params: { readonly status: TerminalStatus }) =>
      'outcome' in event && event.outcome.type === params.status,
    expectsPeer: ({ context }) => expectsPeer(context.kind),
    hasNoPeer: ({ context }) => !context.peerReady,
    isAtWork: or([stateIn('running'), stateIn('retiring')]),
  },
  actions: {
    keepOutcome: assign({ outcome: ({ event }) => ('outcome' in event ? event.outcome : undefined) }),
    countProgress: assign({ progressCount: ({ context }) => context.progressCount + 1 }),
    markPeerReady: assign({ peerReady: true }),
  },
}).createMachine({
  id: 'operation',
  description: 'The life of one operation.',
  context: ({ input }) => ({
    id: input.id,
    kind: input.kind,
    displayName: input.displayName,
    peerReady: false,
    progressCount: 0,
    outcome: undefined,
  }),
  output: ({ context }) => context.outcome,
  initial: 'provisioning',
  on: {
    peer_ready: {
      description: 'The first guard that refuses names the refusal.',
      guard: and(['expectsPeer', 'hasNoPeer', 'isAtWork']),
      actions: 'markPeerReady',
    },
  },
  states: {
    provisioning: {
      description: 'Registered. Its resources are being set up.',
      on: {
        start: 'running',
        fail: endAs('failed'),
        abort: endAs('aborted'),
        cancel: endAs('cancelled'),
        terminate: endAs('terminated'),
      },
    },
    running: {
      on: {
        progress_reported: { actions: 'countProgress' },
        retire_requested: 'retiring',
        complete: endAs('completed'),
        fail: endAs('failed'),
        cancel: endAs('cancelled'),
        retire_completed: endAs('retired'),
        terminate: endAs('terminated'),
      },
    },
    retiring: {
      description: 'Asked to wind down. It may still report progress, complete or fail.',
      on: {
        progress_reported: { actions: 'countProgress' },
        complete: endAs('completed'),
        fail: endAs('failed'),
        cancel: endAs('cancelled'),
        retire_completed: endAs('retired'),
        terminate: endAs('terminated'),
      },
    },
    completed: { type: 'final' },
    failed: { type: 'final' },
    aborted: { type: 'final' },
    cancelled: { type: 'final' },
    retired: { type: 'final' },
    terminated: { type: 'final' },
  },
})

/** The actor of an operation. */
export type OperationActor = ActorRefFrom<typeof operationMachine>

/** The snapshot of an operation's actor. */
export type OperationActorSnapshot = SnapshotFrom<typeof operationMachine>
