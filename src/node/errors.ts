import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import type { StatewardError } from '../base/errors.js'
import type { NodeId, OperatorId } from './ids.js'

/** Both time stamps of an envelope, in epoch milliseconds. */
interface OfEnvelope {
  readonly issuedAtMs: number
  readonly nowMs: number
}

const messages = {
  /** The loop has ended and accepts nothing more. */
  'node.loop_closed': () => 'the loop of the node has ended',
  /** The queue stayed full for as long as the caller would wait. */
  'node.queue_full': ({ capacity }: { readonly capacity: number }) => `the queue of the node holds ${capacity} events`,
  /** The loop did not end in time and was aborted. */
  'node.loop_timeout': ({ timeoutMs }: { readonly timeoutMs: number }) =>
    `the loop of the node did not end within ${timeoutMs} ms`,
  /** The loop has failed; see the cause. */
  'node.loop_failed': ({ reason }: { readonly reason: string }) => `the loop of the node has failed: ${reason}`,
  /** The executor did not end in time and was aborted. */
  'node.executor_timeout': ({ timeoutMs }: { readonly timeoutMs: number }) =>
    `the executor of the node did not end within ${timeoutMs} ms`,
  /** An action was not carried out. With `retryAfterMs` it may be retried after that time. */
  'node.dispatch_failed': ({ reason }: { readonly reason: string; readonly retryAfterMs?: number }) =>
    `the action was not executed: ${reason}`,
  /** The cluster source did not answer in time. A retry may succeed. */
  'node.cluster_silent': ({ timeoutMs }: { readonly timeoutMs: number }) =>
    `the cluster did not answer within ${timeoutMs} ms`,
  /** Nothing is configured that could carry out such an action. */
  'node.unsupported': ({ action, needed }: { readonly action: string; readonly needed: string }) =>
    `${action} cannot be executed without a ${needed}`,
  /** What the nodes of a cluster share contradicts itself; stateward does not guess. */
  'node.stored_invalid': ({ field, reason }: { readonly field: string; readonly reason: string }) =>
    `the data of the cluster is corrupt: ${field}: ${reason}`,
  /** A counter is exhausted. */
  'node.sequence_overflow': ({ sequence }: { readonly sequence: string }) => `the ${sequence} numbers are used up`,

  /** The cluster is frozen: only events that break the glass are accepted. */
  'admin.freeze_in_effect': ({ event }: { readonly event: string }) => `the cluster is frozen: ${event} is refused`,
  /** A verifier is installed, and the event is not signed. */
  'admin.unsigned': ({ event }: { readonly event: string }) => `${event} is not signed`,
  /** An event that breaks the glass needs a bundle. */
  'admin.ice_requires_bundle': ({ event }: { readonly event: string }) =>
    `${event} needs a bundle of signatures over a simulated radius`,
  'admin.simulation_required': () => 'the bundle was not simulated',
  /** The digest belongs to another radius. */
  'admin.simulation_mismatch': () => 'the digest does not match the radius in the bundle',
  /** `unnamed`: ids that the proposal would touch now and that the signed radius does not list. */
  'admin.simulation_stale': ({ unnamed }: { readonly unnamed: readonly string[] }) =>
    `the proposal would touch more than was signed: ${unnamed.join(', ')}`,
  'admin.envelope_from_future': ({ issuedAtMs, nowMs }: OfEnvelope) =>
    `issued ${issuedAtMs - nowMs} ms from now by the clock of this node`,
  'admin.envelope_expired': ({ issuedAtMs, nowMs }: OfEnvelope) => `issued ${nowMs - issuedAtMs} ms ago`,
  /** Without `node` the whole cluster is in its cooldown. */
  'admin.ice_cooldown_active': ({ node, remainingMs }: { readonly node?: NodeId; readonly remainingMs: number }) =>
    `${node ?? 'the cluster'} is in its cooldown for another ${remainingMs} ms`,
  'admin.insufficient_signatures': ({ got, needed }: { readonly got: number; readonly needed: number }) =>
    `${got} ${got === 1 ? 'signature' : 'signatures'}, but ${needed} ${needed === 1 ? 'operator' : 'operators'} must sign`,
  'admin.not_authorized': ({ operatorId }: { readonly operatorId: OperatorId }) =>
    `${operatorId} is not an operator here`,
  'admin.signature_invalid': ({ operatorId }: { readonly operatorId: OperatorId }) =>
    `the signature of ${operatorId} is invalid`,
  'admin.replayed': ({ digest }: { readonly digest: string }) => `the payload ${digest} was already accepted`,
  /** The maximum of remembered payloads or of forced entries is reached. */
  'admin.queue_full': ({ capacity }: { readonly capacity: number }) => `the maximum of ${capacity} is reached`,
}

/** The data of every error of the node room, by code. */
export type NodeErrorData = ErrorDataOf<typeof messages>

/** Raised by the node room; branch on `code`. */
export const NodeError = defineErrors('NodeError', messages)

/** An error of the node room. */
export type NodeError<Code extends keyof NodeErrorData = keyof NodeErrorData> = StatewardError<
  Code,
  NodeErrorData[Code]
>
