import type { Clock } from '../base/clock.js'
import { errorDetailsOf, type ErrorDetails } from '../base/error-details.js'
import type { Logger } from '../base/logger.js'
import type { PendingAction } from './action.js'
import { Chain, InFlight } from './chain.js'
import type { ChainName } from './chain-record.js'
import { NodeError } from './errors.js'
import type { CheckpointChange, NodeHistory } from './history.js'
import type { DaemonId, EpochId, NodeId } from './ids.js'
import { recordLost } from './loop-lines.js'
import {
  longestLogMessageBytes,
  ringSizes,
  type ActionDisposition,
  type AdminAuditRecord,
  type FailureRecord,
  type LogRecord,
} from './records.js'
import type { NodeLogLevel } from './vocabulary.js'

/** Options of {@link NodeChains}. */
export interface NodeChainsOptions {
  readonly history: Pick<NodeHistory, 'append' | 'change'>
  readonly epoch: EpochId
  readonly thisNode: NodeId
  readonly clock: Pick<Clock, 'wallNow'>
  readonly logger: Logger
}

/** Appended to a message that was cut. */
const cutMark = '… (cut)'

/**
 * The four chains of one life of a node. Every record appears in a ring at once and is handed to the journal without
 * waiting; actions have no ring. Each ring numbers its records from 1, starting again in every life.
 */
export class NodeChains {
  readonly #options: NodeChainsOptions
  readonly #inFlight = new InFlight()
  readonly #audit: Chain<AdminAuditRecord>
  readonly #log: Chain<LogRecord>
  readonly #failure: Chain<FailureRecord>
  readonly #sequences = { audit: 0, log: 0, failure: 0 }
  #actionsFailed = 0
  #actionsLost = 0
  readonly #reported = new Set<ChainName>()

  constructor(options: NodeChainsOptions) {
    this.#options = options
    this.#audit = this.#chainOf('audit')
    this.#log = this.#chainOf('log')
    this.#failure = this.#chainOf('failure')
  }

  get audit(): readonly AdminAuditRecord[] {
    return this.#audit.records()
  }

  get log(): readonly LogRecord[] {
    return this.#log.records()
  }

  get failures(): readonly FailureRecord[] {
    return this.#failure.records()
  }

  /** The records of all chains that the journal refused, and that were never handed to it. */
  get losses(): { readonly refused: number; readonly lost: number } {
    const rings = [this.#audit, this.#log, this.#failure]
    return {
      refused: rings.reduce((sum, { failures }) => sum + failures, this.#actionsFailed),
      lost: rings.reduce((sum, { lost }) => sum + lost, this.#actionsLost),
    }
  }

  /** Records an operator's attempt, accepted or rejected. */
  recordAttempt(attempt: Pick<AdminAuditRecord, 'event' | 'operatorIds' | 'outcome'>): AdminAuditRecord {
    const committedAtMs = this.#now()
    const record = { seq: this.#next('audit'), chainPending: true, committedAtMs, ...attempt }
    this.#audit.push(record, committedAtMs)
    return record
  }

  /** Records an attempt from a cluster: the record, its effects and the position become durable together. */
  recordShared(
    attempt: Pick<AdminAuditRecord, 'event' | 'operatorIds' | 'outcome'>,
    change: CheckpointChange,
  ): { readonly record: AdminAuditRecord; readonly durable: Promise<unknown> } {
    const { history, epoch } = this.#options
    const committedAtMs = this.#now()
    const record = { seq: this.#next('audit'), chainPending: true, committedAtMs, ...attempt }
    let appended: Promise<unknown> | undefined
    this.#audit.push(record, committedAtMs, (row, atMs) => {
      appended = history.append('audit', epoch, atMs, row, change)
      return appended
    })
    // If there was no room for the record, its effects must be kept all the same.
    return { record, durable: appended ?? history.change(change) }
  }

  /** Records a line of the log; a message that is too long is cut and marked. */
  recordLine(level: NodeLogLevel, message: string, daemonId: DaemonId | undefined): void {
    const atMs = this.#now()
    const { thisNode: nodeId } = this.#options
    const of = daemonId === undefined ? {} : { daemonId }
    const line = { atMs, level, ...of, nodeId, message: cut(message) }
    this.#log.push({ seq: this.#next('log'), chainPending: true, ...line }, atMs)
  }

  /** Records a failure. */
  recordFailure(source: string, reason: string): void {
    const recordedAtMs = this.#now()
    this.#failure.push({ seq: this.#next('failure'), chainPending: true, source, reason, recordedAtMs }, recordedAtMs)
  }

  /** Records the disposition of an action. */
  recordAction({ id, action: { type: kind } }: PendingAction, disposition: ActionDisposition): void {
    const { epoch, history } = this.#options
    if (!this.#inFlight.begin()) {
      this.#actionsLost += 1
      return
    }
    const emittedAtMs = this.#now()
    history.append('action', epoch, emittedAtMs, { epoch, id, kind, emittedAtMs, disposition }).then(
      () => this.#inFlight.end(),
      (cause: unknown) => {
        this.#inFlight.end()
        this.#actionsFailed += 1
        this.#report('action', errorDetailsOf(cause))
      },
    )
  }

  #chainOf<Name extends 'audit' | 'log' | 'failure'>(name: Name) {
    const { history, epoch } = this.#options
    return new Chain<Name extends 'audit' ? AdminAuditRecord : Name extends 'log' ? LogRecord : FailureRecord>({
      name,
      capacity: ringSizes[name],
      append: (record, atMs) => history.append(name, epoch, atMs, record as never),
      inFlight: this.#inFlight,
      onFailure: (chain, cause) => this.#report(chain, cause),
    })
  }

  /** Logs the first failure of each chain; later ones say nothing new, and are counted. */
  #report(chain: ChainName, cause: ErrorDetails): void {
    if (this.#reported.has(chain)) return
    this.#reported.add(chain)
    recordLost(this.#options.logger, { chain, error: cause.message, cause })
  }

  #next(sequence: keyof NodeChains['sequences']): number {
    const next = this.#sequences[sequence] + 1
    if (!Number.isSafeInteger(next)) throw new NodeError('node.sequence_overflow', { sequence })
    this.#sequences[sequence] = next
    return next
  }

  /** The last number of each ring. */
  get sequences(): { readonly audit: number; readonly log: number; readonly failure: number } {
    return { ...this.#sequences }
  }

  #now(): number {
    return Math.max(0, Math.trunc(this.#options.clock.wallNow()))
  }
}

/** Cuts to a maximum of UTF-8 bytes, never within a character. */
function cut(message: string): string {
  // A UTF-16 unit takes at most three bytes of UTF-8.
  if (message.length * 3 <= longestLogMessageBytes) return message
  const bytes = Buffer.from(message, 'utf8')
  if (bytes.length <= longestLogMessageBytes) return message
  let end = longestLogMessageBytes - Buffer.byteLength(cutMark)
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return `${bytes.toString('utf8', 0, end)}${cutMark}`
}
