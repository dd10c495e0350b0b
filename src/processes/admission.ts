import type { Clock } from '../base/clock.js'
import { messageOf, StatewardError } from '../base/errors.js'
import type { IdSource } from '../base/ids.js'
import { claim } from './claim.js'
import { dispositionOf, type Disposition } from './drive-report.js'
import type { WorkerFault } from './event-sink.js'
import type { LeaseOwner, ProcessLease } from './lease.js'
import type { RunStart } from './process-run.js'
import type { ProcessRecord } from './record.js'
import { recoveryOf } from './recovery.js'
import type { ProcessRunner } from './runner.js'
import type { ProcessStore } from './store.js'
import { isFailureOfStore } from './store-failure.js'

/** What came of admitting a process: what its run starts with, or why there is none. */
export type Admitted =
  | { readonly start: Omit<RunStart, 'slot'> }
  | {
      readonly disposition: Disposition
      /** Set if nobody will say when it can be taken, so that it has to be tried again after a while. */
      readonly isRetried?: boolean
    }

/** Options of an {@link Admission}. */
export interface AdmissionOptions {
  readonly store: ProcessStore
  readonly runner: ProcessRunner
  readonly owner: LeaseOwner
  readonly clock: Clock
  readonly ids: IdSource
  /** Milliseconds that a lease lasts. */
  readonly ttlMs: number
  readonly report: (fault: WorkerFault) => void
}

const busy: Admitted = { disposition: { type: 'busy' } }
const settledByPeer: Admitted = { disposition: { type: 'settled_by_peer' } }
const alreadyApplied: Admitted = { disposition: { type: 'already_applied' } }
const ownerBound: Admitted = { disposition: { type: 'owner_bound' } }

/**
 * Claims processes that nobody is working on, and decides on each what is to be done: run it, recover it, end it, or
 * leave it alone. It is decided on the record as read under the lease.
 */
export class Admission {
  readonly #options: AdmissionOptions

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  /** Claims the process and decides. Never rejects: a fault is reported. */
  async admit(record: ProcessRecord): Promise<Admitted> {
    const { store, ttlMs, report } = this.#options
    const { id } = record
    let operation = 'claim'
    try {
      if (record.disposition === 'rerunnable') {
        const begun = await this.#begin(record)
        if (begun !== 'held_by_the_dead') return begun
      }
      const claimed = await claim(store, id, this.#claimant(), ttlMs)
      if (claimed === undefined) return this.#held
      operation = 'read'
      return await this.#decide(record, claimed.lease, claimed.deadHolder, (next) => (operation = next))
    } catch (error) {
      const disposition = dispositionOf(error)
      if (disposition !== undefined) return { disposition }
      report({ type: 'row_backend_error', processId: id, operation, message: messageOf(error) })
      return { disposition: { type: 'backend_error', operation }, isRetried: isFailureOfStore(error) }
    }
  }

  /**
   * Claims a rerunnable process and starts it, in one change: it is run whatever has happened to it, unless it has
   * ended. A process held by a dead owner is left to the takeover that follows.
   */
  async #begin({ id }: ProcessRecord): Promise<Admitted | 'held_by_the_dead'> {
    const { store, clock, owner, ttlMs } = this.#options
    const claimant = this.#claimant()
    const started = { owner, startedAtMs: Math.trunc(clock.wallNow()) }
    try {
      const claimed = await store.claimAndStart(id, claimant, started, ttlMs)
      switch (claimed.outcome) {
        case 'started':
          return { start: { record: claimed.record, lease: claimed.lease } }
        case 'ended':
          return settledByPeer
        case 'busy':
          return store.isHolderDead(claimed.holder, claimant) ? 'held_by_the_dead' : this.#held
      }
    } catch (error) {
      if (StatewardError.is(error, 'process.attempts_exhausted')) return alreadyApplied
      throw error
    }
  }

  /** `step` is told what is done next. */
  async #decide(
    found: ProcessRecord,
    lease: ProcessLease,
    deadHolder: ProcessLease | undefined,
    step: (operation: string) => void,
  ): Promise<Admitted> {
    const { store, clock, owner, runner } = this.#options
    const { id } = found
    const nowMs = Math.trunc(clock.wallNow())
    const release = async (admitted: Admitted): Promise<Admitted> => {
      step('release')
      await store.completeLease({ processId: id, leaseToken: lease.leaseToken })
      return admitted
    }
    // A rerunnable process is run whatever has happened to it. If it has ended, its start is refused.
    const record = found.disposition === 'rerunnable' ? found : await store.getProcess(id)
    if (record === undefined) return release({ disposition: { type: 'absent' } })
    const recovery = recoveryOf(record, { nowMs, deadHolder, isRecoverable: runner.canRecover?.(record) ?? false })
    switch (recovery.action) {
      case 'leave':
        return release({ disposition: { type: 'externally_owned' } })
      case 'release':
        return release(record.status === 'running' ? ownerBound : settledByPeer)
      case 'recover':
        return { start: { record, lease, recovery: { deadHolder, evidence: recovery.evidence } } }
      case 'abandon': {
        step('write its end')
        const { outcome } = await store.completeWithLease(lease, { type: 'abandoned', evidence: recovery.evidence })
        return outcome === 'superseded' ? settledByPeer : alreadyApplied
      }
      case 'run': {
        step('record its start')
        try {
          const started = await store.recordFirstStarted(id, { owner, startedAtMs: nowMs }, { lease })
          return { start: { record: started, lease } }
        } catch (error) {
          if (StatewardError.is(error, 'process.attempts_exhausted')) return release(alreadyApplied)
          if (StatewardError.is(error, 'process.already_terminal')) return release(settledByPeer)
          if (StatewardError.is(error, 'process.already_started')) return release(ownerBound)
          throw error
        }
      }
    }
  }

  /**
   * If this host is the only writer, the lease is one of its own that could not be released. It expires without
   * notification, so look again later.
   */
  get #held(): Admitted {
    return { ...busy, isRetried: this.#options.store.writers !== 'many' }
  }

  /** A new owner id for each claim. */
  #claimant(): LeaseOwner {
    const { owner, ids } = this.#options
    const incarnationId = ids.uuid()
    return { ...owner, ownerId: `${owner.ownerId}:recovery:${incarnationId}`, incarnationId }
  }
}
