import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { durationSchema, optionsSchema, wholeNumberSchema } from '../../base/options.js'
import type { BlastRadius } from '../blast-radius.js'
import type { OperatorSignature, SignedAdminCommit, SignedIceCommit } from '../commit.js'
import { NodeError, type NodeErrorData } from '../errors.js'
import { noDigest } from '../ids.js'
import type { RejectionKind } from '../records.js'
import { hasSeen, restsUntil, seenSince, type AcceptedCommit, type AdminMemory } from './admin-memory.js'
import { cooldownTargetOf } from './cooldown.js'
import { OperatorRegistry } from './operators.js'
import { adminPayload, blastHashOf, icePayload, payloadDigest } from './signing-payload.js'
import { simulate, type SimulationView } from './simulation.js'

/** Whom a verifier trusts, and how strict it is. */
export interface AdminVerifierOptions {
  readonly operators: OperatorRegistry
  /** How many operators must sign to break the glass. Default 1; 0 counts as 1. */
  readonly iceThreshold?: number
  /** How long after its issue a commit is accepted, in milliseconds, inclusive. Default 5 minutes. */
  readonly freshnessMs?: number
  /** How far in the future a commit may be issued, in milliseconds, because clocks differ. Default 30 seconds. */
  readonly skewMs?: number
  /** The cooldown of a target after a commit that breaks the glass, in milliseconds. Default 5 minutes. */
  readonly cooldownMs?: number
  /**
   * How many accepted commits are remembered while they are fresh; beyond that number commits are refused. Default
   * 1,024.
   */
  readonly mostRemembered?: number
}

/**
 * The inputs of a verification that a verifier is given rather than reads itself, so that its answers are reproducible.
 */
export interface VerificationCircumstances {
  /** The instant for judging freshness, in epoch milliseconds: now, or when the cluster source received the commit. */
  readonly nowMs: number
  readonly memory: AdminMemory
}

/** The inputs for verifying a commit that breaks the glass. */
export interface IceVerificationCircumstances extends VerificationCircumstances {
  /** The current state of this node, by which the radius of the proposal is computed again. */
  readonly snapshot: SimulationView
}

/** Why a commit is refused. */
export interface Rejection {
  readonly status: 'rejected'
  readonly kind: RejectionKind
  /** For people to read. */
  readonly message: string
}

/** The result of a verification: what to remember of the commit, or why it is refused. */
export type Verification = { readonly status: 'accepted'; readonly accepted: AcceptedCommit } | Rejection

/** A bundle may have at least this many signatures, whatever the threshold. */
const smallestBundleCap = 64

const longestWindowMs = 24 * 60 * 60 * 1000
const windowSchema = v.pipe(durationSchema, v.maxValue(longestWindowMs, 'longer than a day'))

const optionsOfVerifier = optionsSchema<AdminVerifierOptions>({
  operators: v.instance(OperatorRegistry, 'not an OperatorRegistry'),
  iceThreshold: v.optional(wholeNumberSchema(0, 1024)),
  freshnessMs: v.optional(windowSchema),
  skewMs: v.optional(windowSchema),
  cooldownMs: v.optional(windowSchema),
  mostRemembered: v.optional(wholeNumberSchema(1, 65_536)),
})

/**
 * Decides whether operators may do what they ask for. It keeps no state and reads no clock: the same commit under the
 * same circumstances gets the same answer. The order of the checks is defined in one place each: {@link verifyAdmin}
 * and {@link verifyIce}.
 */
export class AdminVerifier {
  readonly operators: OperatorRegistry
  readonly iceThreshold: number
  readonly #freshnessMs: number
  readonly #skewMs: number
  readonly #cooldownMs: number
  readonly #mostRemembered: number

  /** Raises `invalid_input` naming the option. */
  constructor(options: AdminVerifierOptions) {
    const taken = decode(optionsOfVerifier, options, 'admin verifier')
    this.operators = taken.operators
    this.iceThreshold = Math.max(1, taken.iceThreshold ?? 1)
    this.#freshnessMs = Math.trunc(taken.freshnessMs ?? 300_000)
    this.#skewMs = Math.trunc(taken.skewMs ?? 30_000)
    this.#cooldownMs = Math.trunc(taken.cooldownMs ?? 300_000)
    this.#mostRemembered = taken.mostRemembered ?? 1024
  }

  /** The maximum number of signatures in a bundle. */
  get bundleCap(): number {
    return Math.max(smallestBundleCap, this.iceThreshold)
  }

  /** Whether an ordinary commit may be folded (N-320). */
  verifyAdmin(commit: SignedAdminCommit, circumstances: VerificationCircumstances): Verification {
    const { issuedAtMs, signature } = commit
    const payload = adminPayload(commit)
    return (
      this.#whyNotFresh(issuedAtMs, circumstances) ??
      this.#whyUnauthorized([signature]) ??
      this.#whyUnsigned([signature], payload) ??
      this.#accept(payload, issuedAtMs, circumstances)
    )
  }

  /** Whether a commit that breaks the glass may be folded (N-321). */
  verifyIce(commit: SignedIceCommit, circumstances: IceVerificationCircumstances): Verification {
    const { issuedAtMs, signatures } = commit
    const payload = icePayload(commit)
    return (
      whyNotSimulated(commit) ??
      this.#whyNotFresh(issuedAtMs, circumstances) ??
      whyResting(commit, circumstances) ??
      this.#whyTooMany(signatures) ??
      this.#whyUnauthorized(signatures) ??
      this.#whyUnsigned(signatures, payload) ??
      this.#whyTooFew(signatures) ??
      this.#acceptIce(commit, payload, circumstances)
    )
  }

  #whyNotFresh(issuedAtMs: number, { nowMs, memory }: VerificationCircumstances): Rejection | undefined {
    if (issuedAtMs - nowMs > this.#skewMs) return rejection('envelope_from_future', { issuedAtMs, nowMs })
    // After the clock was set back, it is no longer known whether the commit was accepted before.
    const isForgotten = issuedAtMs < memory.forgottenBeforeMs
    if (nowMs - issuedAtMs > this.#freshnessMs || isForgotten)
      return rejection('envelope_expired', { issuedAtMs, nowMs })
    return undefined
  }

  #whyTooMany({ length }: readonly OperatorSignature[]): Rejection | undefined {
    if (length <= this.bundleCap) return undefined
    return rejection('insufficient_signatures', { got: length, needed: this.iceThreshold })
  }

  /** All signers are looked up before any signature is verified, so that a stranger costs no more than a lookup. */
  #whyUnauthorized(signatures: readonly OperatorSignature[]): Rejection | undefined {
    const stranger = signatures.find(({ operator }) => this.operators.keyOf(operator) === undefined)
    return stranger && rejection('not_authorized', { operatorId: stranger.operator })
  }

  /** One invalid signature is enough to refuse, however many others are valid. */
  #whyUnsigned(signatures: readonly OperatorSignature[], payload: Uint8Array): Rejection | undefined {
    const wrong = signatures.find(
      ({ operator, signature }) => this.operators.keyOf(operator)?.verifies(payload, signature) !== true,
    )
    return wrong && rejection('signature_invalid', { operatorId: wrong.operator })
  }

  #whyTooFew(signatures: readonly OperatorSignature[]): Rejection | undefined {
    const { size } = new Set(signatures.map(({ operator }) => operator))
    if (size >= this.iceThreshold) return undefined
    return rejection('insufficient_signatures', { got: size, needed: this.iceThreshold })
  }

  /** The memory is checked last: without a key nobody can fill it or learn what it holds. */
  #accept(
    payload: Uint8Array,
    issuedAtMs: number,
    { nowMs, memory }: VerificationCircumstances,
    further: Pick<AcceptedCommit, 'cooldown'> = {},
  ): Verification {
    const digest = payloadDigest(payload)
    if (hasSeen(memory, digest)) return rejection('replayed', { digest })
    const forgetBeforeMs = Math.max(0, nowMs - this.#freshnessMs)
    if (seenSince(memory, forgetBeforeMs) >= this.#mostRemembered) {
      return rejection('queue_full', { capacity: this.#mostRemembered })
    }
    return { status: 'accepted', accepted: { digest, issuedAtMs, acceptedAtMs: nowMs, forgetBeforeMs, ...further } }
  }

  #acceptIce(commit: SignedIceCommit, payload: Uint8Array, circumstances: IceVerificationCircumstances): Verification {
    const { proposal, issuedAtMs, blastRadius } = commit
    const target = cooldownTargetOf(proposal)
    const cooldown = target && { target, expiresAtMs: circumstances.nowMs + this.#cooldownMs }
    const accepted = this.#accept(payload, issuedAtMs, circumstances, cooldown && { cooldown })
    if (accepted.status === 'rejected') return accepted
    return whyStale(blastRadius, simulate(circumstances.snapshot, proposal)) ?? accepted
  }
}

function whyNotSimulated({ blastHash, blastRadius }: SignedIceCommit): Rejection | undefined {
  if (blastHash === noDigest) return rejection('simulation_required', {})
  return blastHash === blastHashOf(blastRadius) ? undefined : rejection('simulation_mismatch', {})
}

function whyResting(
  { proposal }: SignedIceCommit,
  { memory, nowMs }: VerificationCircumstances,
): Rejection | undefined {
  const target = cooldownTargetOf(proposal)
  const untilMs = target && restsUntil(memory, target, nowMs)
  if (target === undefined || untilMs === undefined) return undefined
  const remainingMs = untilMs - nowMs
  return rejection('ice_cooldown_active', target === 'cluster' ? { remainingMs } : { node: target, remainingMs })
}

/**
 * The commit must not touch anything that the signers have not seen. Touching less, or other warnings, is no reason to
 * refuse.
 */
function whyStale(signed: BlastRadius, own: BlastRadius): Rejection | undefined {
  const unnamed = (of: (radius: BlastRadius) => readonly string[]): readonly string[] => {
    const named = new Set(of(signed))
    return of(own).filter((id) => !named.has(id))
  }
  const beyond = [
    ...unnamed(({ affectedNodes }) => affectedNodes),
    ...unnamed(({ affectedReplicas }) => affectedReplicas),
    ...unnamed(({ affectedDaemons }) => affectedDaemons.map(({ id }) => id)),
  ]
  return beyond.length === 0 ? undefined : rejection('simulation_stale', { unnamed: beyond.slice(0, mostUnnamed) })
}

/** The maximum number of ids that a refusal names. */
const mostUnnamed = 16

/** A refusal as it stands in an audit record: the error code without its prefix, and the message. */
export function rejection<Kind extends RejectionKind>(kind: Kind, data: NodeErrorData[`admin.${Kind}`]): Rejection {
  const { message } = new NodeError<`admin.${Kind}`>(`admin.${kind}`, data)
  return { status: 'rejected', kind, message }
}
