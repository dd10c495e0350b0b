import type { AdminEvent } from './admin-event.js'
import type { ActionKind } from './action.js'
import type { ActionId, DaemonId, EpochId, NodeId, OperatorId } from './ids.js'
import type { NodeLogLevel } from './vocabulary.js'

/** Why an attempt of an operator was refused; the first check that fails gives the kind. */
export const rejectionKinds = [
  /** Nothing but a thaw and its like passes a freeze. */
  'freeze_in_effect',
  /** A verifier is installed, and what is not signed is not folded. */
  'unsigned',
  /** What breaks the glass came as an ordinary commit. */
  'ice_requires_bundle',
  /** The digest of the radius is the one that stands for nothing. */
  'simulation_required',
  /** The digest is not that of the radius that came with it. */
  'simulation_mismatch',
  /** The proposal would touch by now what its radius does not name. */
  'simulation_stale',
  'envelope_from_future',
  'envelope_expired',
  'ice_cooldown_active',
  'insufficient_signatures',
  'not_authorized',
  'signature_invalid',
  /** The same payload was accepted before. */
  'replayed',
  /** No more payloads can be remembered, or no more forced entries kept. */
  'queue_full',
] as const
export type RejectionKind = (typeof rejectionKinds)[number]

/** What became of an attempt of an operator. `unverified`: folded without a verifier having seen it. */
export type VerificationOutcome =
  | { readonly status: 'accepted' | 'unverified' }
  | { readonly status: 'rejected'; readonly kind: RejectionKind; readonly message: string }

/** What every record of a ring has: its number within its epoch, and whether its chain still lacks it. */
interface RingRecord {
  /** From 1 within an epoch. */
  readonly seq: number
  /** True until the chain has it on disk, and for good when it could not be appended. */
  readonly chainPending: boolean
}

/** One attempt of an operator, whatever became of it. */
export interface AdminAuditRecord extends RingRecord {
  /** Epoch milliseconds by the clock of this node. */
  readonly committedAtMs: number
  readonly event: AdminEvent
  /** As claimed: a rejected attempt names whoever it said it came from. */
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

/** Something that did not work. */
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

/** One action as its chain keeps it. */
export interface ActionChainRecord {
  readonly epoch: EpochId
  readonly id: ActionId
  readonly kind: ActionKind
  /** Epoch milliseconds at which it was appended. */
  readonly emittedAtMs: number
  readonly disposition: ActionDisposition
}

/** How many records each ring keeps. */
export const ringSizes = { audit: 256, log: 2048, failure: 256 } as const

/** The longest message of a line of the log, in bytes of UTF-8; longer ones are cut and marked. */
export const longestLogMessageBytes = 8192
