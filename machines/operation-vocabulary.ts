/** The terms used by the charts of the operations room (O-2, O-3, O-4), spelled as on the wire. */

import type { FailureOrigin } from '../src/base/failure.js'
import type { Brand } from '../src/base/ids.js'
import type { JsonValue } from '../src/base/json.js'

/** Identifies one operation. A UUID, v7 if created here, so that text order is creation order. */
export type OperationId = Brand<string, 'OperationId'>

/** Identifies one turn of an agent. Waits for operations belong to a turn. */
export type TurnId = Brand<string, 'TurnId'>

/** Identifies one wait-all request; separate from the turn that waits. */
export type WaitRequestId = Brand<string, 'WaitRequestId'>

/** What an operation is for. It decides whether its completion is retained, shown, and wakes the runtime. */
export const operationKinds = ['mob_member_child', 'background_tool_op', 'background_tool_capacity_slot'] as const
export type OperationKind = (typeof operationKinds)[number]

/** Statuses of an operation that has not ended. */
export const liveStatuses = ['provisioning', 'running', 'retiring'] as const
export type LiveStatus = (typeof liveStatuses)[number]

/** Statuses that an operation never leaves again. */
export const terminalStatuses = ['completed', 'failed', 'aborted', 'cancelled', 'retired', 'terminated'] as const
export type TerminalStatus = (typeof terminalStatuses)[number]

/** Every status of a registered operation. */
export const operationStatuses = [...liveStatuses, ...terminalStatuses] as const
export type OperationStatus = (typeof operationStatuses)[number]

/** True for a status that is never left again. */
export function isTerminal(status: OperationStatus): status is TerminalStatus {
  return terminal.has(status)
}

const terminal: ReadonlySet<string> = new Set(terminalStatuses)

/** The result of a finished operation. */
export interface OperationResult {
  /** The operation that the result belongs to. */
  readonly id: OperationId
  readonly content: string
  /** True if a tool reports an error. The operation has still completed. */
  readonly isError: boolean
  /** Duration in milliseconds. */
  readonly durationMs: number
  readonly tokensUsed: number
}

export { failureReasons, type FailureOrigin, type FailureReason } from '../src/base/failure.js'

/** How an operation ended. `type` is the terminal status. */
export type OperationOutcome =
  | { readonly type: 'completed'; readonly result: OperationResult }
  | ({ readonly type: 'failed'; readonly error: string } & FailureOrigin)
  | { readonly type: 'aborted'; readonly reason: string | null }
  | { readonly type: 'cancelled'; readonly reason: string | null }
  | { readonly type: 'retired' }
  | { readonly type: 'terminated'; readonly reason: string }

/** The actions on an operation, in the order of the table of legality. */
export const operationActions = [
  'start',
  'fail',
  'peer_ready',
  'progress_reported',
  'complete',
  'abort',
  'cancel',
  'retire_requested',
  'retire_completed',
  'terminate',
] as const
export type OperationAction = (typeof operationActions)[number]

/** The actions that end an operation, with the status that each leads to. */
export const terminalStatusOf = {
  complete: 'completed',
  fail: 'failed',
  abort: 'aborted',
  cancel: 'cancelled',
  retire_completed: 'retired',
  terminate: 'terminated',
} as const satisfies Partial<Record<OperationAction, TerminalStatus>>

/** An action that ends an operation. */
export type TerminalAction = keyof typeof terminalStatusOf

/** True for member children, which are the only operations with a peer channel (O-27). */
export function expectsPeer(kind: OperationKind): boolean {
  return kind === 'mob_member_child'
}

/** Identifies the owner of a registry. Durable. */
export type SessionId = Brand<string, 'SessionId'>

/** Identifies the peer that an operation runs behind. */
export type PeerId = Brand<string, 'PeerId'>

/** The address of a peer; also written `transport://endpoint`. */
export interface PeerAddress {
  readonly transport: 'inproc' | 'uds' | 'tcp'
  readonly endpoint: string
}

/** What an operation was started from. */
export type OperationSource =
  | { readonly kind: 'session_child'; readonly sessionId: SessionId }
  | { readonly kind: 'backend_peer'; readonly peerId: PeerId; readonly address: PeerAddress }

/** The registration data of an operation. Durable. */
export interface OperationSpec {
  readonly id: OperationId
  readonly kind: OperationKind
  readonly ownerSessionId: SessionId
  /** Shown in notices, and the sort key of lists. */
  readonly displayName: string
  /** Free text such as `shell_job`. */
  readonly sourceLabel: string
  readonly operationSource?: OperationSource
  /** Copy of the id in a `session_child` source; set at registration. */
  readonly childSessionId: SessionId | null
  /** Must agree with the kind. */
  readonly expectPeerChannel: boolean
  /** The operation that this one is a part of. When it ends in any way, this one ends, too. */
  readonly parentId?: OperationId
  /** Continues when its parent ends. Only with a `parentId`. */
  readonly outlivesParent?: true
  /** Its input, as JSON (see `src/work/values.ts`): enough to run it again if it is lost. */
  readonly input?: JsonValue
}

/** How to reach a peer once it is ready. Never persisted. */
export interface OperationPeerHandle {
  /** Non-blank, without control characters. For display only. */
  readonly peerName: string
  readonly trustedPeer: {
    readonly peerId: PeerId
    readonly name: string
    readonly address: PeerAddress
    /** 32 bytes. */
    readonly pubkey: Uint8Array
  }
}

/** The consumers that read the completion feed with their own cursors (O-73). */
export const cursorConsumers = ['agent_applied', 'runtime_observed', 'runtime_injected'] as const
export type CursorConsumer = (typeof cursorConsumers)[number]

/** The result of a satisfied wait-all, delivered to the turn exactly once. The ids are a set (O-95). */
export interface WaitAllSatisfied {
  readonly waitRequestId: WaitRequestId
  readonly turnId: TurnId
  readonly operationIds: readonly OperationId[]
}
