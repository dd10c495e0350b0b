import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { admitCommit, type Admission, type AdmissionAudit, type AdminVerifier } from './admin/index.js'
import { agedEvent } from './aged-event.js'
import type { OperatorEvent } from './event.js'
import type { Folding } from './folding.js'
import { countForced } from './forced.js'
import type { NodeHistory } from './history.js'
import { commitRefused } from './loop-lines.js'
import type { NodeChains } from './node-chains.js'
import type { NodeConfiguration } from './options.js'
import type { QueuedAttempt, SharedAttempt } from './publish-handle.js'
import type { AdminAuditRecord } from './records.js'
import { clusterPositionKey } from './remembering.js'
import type { NodeSnapshot } from './snapshot.js'
import { isFrozen } from './state.js'

/** Options of an {@link AttemptJudge}. */
export interface AttemptJudgeOptions {
  readonly configuration: NodeConfiguration
  readonly clock: Clock
  readonly logger: Logger
  readonly chains: NodeChains
  readonly history: Pick<NodeHistory, 'adminMemory'>
  readonly folding: Folding
  readonly verifier?: AdminVerifier
  /** The latest snapshot. */
  readonly snapshot: () => NodeSnapshot
}

/** Decides in a loop what becomes of the attempts of operators: each is judged, recorded once, and folded if accepted. */
export class AttemptJudge {
  readonly #options: AttemptJudgeOptions

  constructor(options: AttemptJudgeOptions) {
    this.#options = options
  }

  /** Judges an attempt, records it, and folds it if it was accepted. */
  judge(attempt: OperatorEvent, queued: QueuedAttempt | undefined): void {
    const { clock, chains, history, configuration, verifier, folding, snapshot } = this.#options
    const { state } = folding
    const nowMs = queued?.judgedAtMs ?? Math.trunc(clock.wallNow())
    const admission = admitCommit(attempt, {
      ...(verifier !== undefined && { verifier }),
      ...(queued?.knownAs !== undefined && { knownAs: queued.knownAs }),
      isFrozen: isFrozen(state),
      forcedEntries: { count: countForced(state.forced), capacity: configuration.forcedEntriesCapacity },
      nowMs,
      memory: history.adminMemory,
      snapshot: snapshot(),
    })
    const { event, audit, accepted } = admission
    if (queued?.isTrial === true && event !== undefined) return queued.onJudged(Promise.resolve(undefined))
    if (queued?.shared !== undefined) {
      return queued.onJudged(this.#takeShared(admission, queued.shared))
    }
    const record = chains.recordAttempt(audit)
    if (event === undefined) {
      this.#tellRefusal(audit)
      queued?.onJudged(Promise.resolve(record))
      return
    }
    folding.fold({ type: 'admin_event', event })
    const durable = folding.remember({ type: 'admin_event', event }, accepted)
    queued?.onJudged(durable.then(() => record))
  }

  /**
   * For a commit that every node of a cluster reads: its effects, its record and the position become durable in one
   * transaction.
   */
  #takeShared({ event, audit, accepted }: Admission, shared: SharedAttempt): Promise<AdminAuditRecord> {
    const { folding, chains } = this.#options
    if (event === undefined) this.#tellRefusal(audit)
    // Durations in it have been running since it was shared.
    const folded = event && ({ type: 'admin_event', event: agedEvent(event, shared.ageMs) } as const)
    if (folded !== undefined) folding.fold(folded)
    const change = folded && folding.changeOf(folded)
    const content = { type: 'cluster_position', ...shared.position } as const
    const { record, durable } = chains.recordShared(audit, {
      ...change,
      keep: [...(change?.keep ?? []), { key: clusterPositionKey, content }],
      ...(accepted !== undefined && { accepted }),
    })
    return folding.noteLoss(durable).then(() => record)
  }

  #tellRefusal({ event, outcome }: AdmissionAudit): void {
    if (outcome.status !== 'rejected') return
    commitRefused(this.#options.logger, { event: event.type, kind: outcome.kind, error: outcome.message })
  }
}
