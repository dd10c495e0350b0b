import type { AdminEvent } from './admin-event.js'
import type { ActionKind } from './action.js'
import type { ActionId, DaemonId, EpochId, NodeId, OperatorId } from './ids.js'
import type { NodeLogLevel } from './vocabulary.js'

/** Why an operator's attempt was refused: the first check that failed. */
export const rejectionKinds = [
  /** In a freeze only events that break the glass are accepted. */
  'freeze_in_effect',
  /** With a verifier, unsigned events are not folded. */
  'unsigned',
  /** An event that breaks the glass came as an ordinary commit. */
  'ice_requires_bundle',
  /** The digest of the radius is the one that means "not simulated". */
  'simulation_required',
  /** The digest does not match the radius in the bundle. */
  'simulation_mismatch',
  /** The proposal would now touch something that its radius does not list. */
  'simulation_stale',
  'envelope_from_future',
  'envelope_expired',
  'ice_cooldown_active',
  'insufficient_signatures',
  'not_authorized',
  'signature_invalid',
  /** The same payload was accepted before. */
  'replayed',
  /** The maximum of remembered payloads or of forced entries is reached. */
  'queue_full',
] as const
export type RejectionKind = (typeof rejectionKinds)[number]

/** The outcome of an operator's attempt. `unverified`: folded without a verifier. */
export type VerificationOutcome =
  | { readonly status: 'accepted' | 'unverified' }
  | { readonly status: 'rejected'; readonly kind: RejectionKind; readonly message: string }

/** The fields of every ring record: its number within the epoch, and whether it is not durable yet. */
interface RingRecord {
  /** Counts from 1 within an epoch. */
  readonly seq: number
  /** True until the record is durable in its chain, and for good if it could not be appended. */
  readonly chainPending: boolean
}

/** One operator's attempt, accepted or rejected. */
export interface AdminAuditRecord extends RingRecord {
  /** Epoch milliseconds by this node's clock. */
  readonly committedAtMs: number
  readonly event: AdminEvent
  /** As claimed: a rejected attempt lists whoever it said it came from. */
  readonly operatorIds: readonly OperatorId[]
  readonly outcome: VerificationOutcome
}

/** One line of the log. */
export interface LogRecord extends RingRecord {
  readonly atMs: number
  readonly level: NodeLogLevel
  readonly daemonId?: DaemonId
  readonly nodeId: NodeId
  readonly message: string
}

/** A failure. */
export interface FailureRecord extends RingRecord {
  /** `action-id:N`, `kill-migration:N`, or, rebuilt from a chain, `action-id:N:kind`. */
  readonly source: string
  readonly reason: string
  readonly recordedAtMs: number
}

/** What became of an action. */
export type ActionDisposition =
  | { readonly status: 'dispatched' }
  | { readonly status: 'failed'; readonly reason: string; readonly retryAfterMs?: number }
  | { readonly status: 'gated'; readonly reason: string; readonly cooldownMs?: number }

/** An action as stored in its chain. */
export interface ActionChainRecord {
  readonly epoch: EpochId
  readonly id: ActionId
  readonly kind: ActionKind
  /** When it was appended, in epoch milliseconds. */
  readonly emittedAtMs: number
  readonly disposition: ActionDisposition
}

/** The capacity of each ring, in records. */
export const ringSizes = { audit: 256, log: 2048, failure: 256 } as const

/** The maximum length of a log message in bytes of UTF-8; longer ones are cut and marked. */
export const longestLogMessageBytes = 8192
