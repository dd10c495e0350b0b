/** Words of the operations room that its charts speak (O-2, O-3, O-4); spellings are those of the wire. */

import type { FailureOrigin } from '../src/base/failure.js'
import type { Brand } from '../src/base/ids.js'
import type { JsonValue } from '../src/base/json.js'

/** Identifies one operation; a UUID, v7 when minted here, so text order is creation order. */
export type OperationId = Brand<string, 'OperationId'>

/** Identifies one turn of an agent; what waits for operations waits for a turn. */
export type TurnId = Brand<string, 'TurnId'>

/** Identifies one wait-all request; separate from the turn it feeds. */
export type WaitRequestId = Brand<string, 'WaitRequestId'>

/** What an operation is for; decides whether its completion is kept, shown and woken for. */
export const operationKinds = ['mob_member_child', 'background_tool_op', 'background_tool_capacity_slot'] as const
export type OperationKind = (typeof operationKinds)[number]

/** Statuses in which an operation still runs. */
export const liveStatuses = ['provisioning', 'running', 'retiring'] as const
export type LiveStatus = (typeof liveStatuses)[number]

/** Statuses that are never left again. */
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

/** What a finished operation hands back. */
export interface OperationResult {
  /** The operation it belongs to. */
  readonly id: OperationId
  readonly content: string
  /** A tool that reports an error has still completed. */
  readonly isError: boolean
  /** Milliseconds. */
  readonly durationMs: number
  readonly tokensUsed: number
}

export { failureReasons, type FailureOrigin, type FailureReason } from '../src/base/failure.js'

/** How an operation ended; `type` is the terminal status. */
export type OperationOutcome =
  | { readonly type: 'completed'; readonly result: OperationResult }
  | ({ readonly type: 'failed'; readonly error: string } & FailureOrigin)
  | { readonly type: 'aborted'; readonly reason: string | null }
  | { readonly type: 'cancelled'; readonly reason: string | null }
  | { readonly type: 'retired' }
  | { readonly type: 'terminated'; readonly reason: string }

/** What can be done to an operation, in the order of the table of legality. */
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

/** The actions that end an operation, with the status each leads to. */
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

/** Only member children hand over a peer channel (O-27). */
export function expectsPeer(kind: OperationKind): boolean {
  return kind === 'mob_member_child'
}

/** Identifies the owner of a registry; durable. */
export type SessionId = Brand<string, 'SessionId'>

/** Identifies a peer that an operation runs behind. */
export type PeerId = Brand<string, 'PeerId'>

/** Where a peer listens; also spelled `transport://endpoint`. */
export interface PeerAddress {
  readonly transport: 'inproc' | 'uds' | 'tcp'
  readonly endpoint: string
}

/** What an operation was started from. */
export type OperationSource =
  | { readonly kind: 'session_child'; readonly sessionId: SessionId }
  | { readonly kind: 'backend_peer'; readonly peerId: PeerId; readonly address: PeerAddress }

/** The registration payload of an operation; durable. */
export interface OperationSpec {
  readonly id: OperationId
  readonly kind: OperationKind
  readonly ownerSessionId: SessionId
  /** Shown in notices and used as the sort key of lists. */
  readonly displayName: string
  /** Free text such as `shell_job`. */
  readonly sourceLabel: string
  readonly operationSource?: OperationSource
  /** Mirror of a `session_child` source; set at registration. */
  readonly childSessionId: SessionId | null
  /** Must agree with the kind. */
  readonly expectPeerChannel: boolean
  /** The operation that this one is a part of: with any end of it this one ends too. */
  readonly parentId?: OperationId
  /** Goes on when its parent ends; only beside a parent. */
  readonly outlivesParent?: true
  /** What it works on, as JSON (see `src/work/values.ts`): enough to start it anew once it is lost. */
  readonly input?: JsonValue
}

/** How to reach a peer once it is ready; never persisted. */
export interface OperationPeerHandle {
  /** Non-blank, without control characters; display only. */
  readonly peerName: string
  readonly trustedPeer: {
    readonly peerId: PeerId
    readonly name: string
    readonly address: PeerAddress
    /** 32 bytes. */
    readonly pubkey: Uint8Array
  }
}

/** Who reads the completion feed under a cursor of its own (O-73). */
export const cursorConsumers = ['agent_applied', 'runtime_observed', 'runtime_injected'] as const
export type CursorConsumer = (typeof cursorConsumers)[number]

/** What a satisfied wait-all hands to the turn, exactly once; the ids are a set (O-95). */
export interface WaitAllSatisfied {
  readonly waitRequestId: WaitRequestId
  readonly turnId: TurnId
  readonly operationIds: readonly OperationId[]
}
