import { faultFields } from '../base/error-details.js'
import type { Clock } from '../base/clock.js'
import { DeadlineQueue } from '../base/deadline-queue.js'
import { messageOf } from '../base/errors.js'
import type { IdSource } from '../base/ids.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger } from '../base/observers.js'
import { createDeferred, nextTurn, silence, type Deferred } from '../base/promises.js'
import type { Inspect } from '../base/inspection.js'
import type { JobList } from '../work/job-list.js'
import { LeaseKeeper } from '../work/lease-keeper.js'
import type { Slot } from '../work/slot.js'
import { Slots, type KindLimits } from '../work/slots.js'
import { Admission, type AdmissionOptions } from './admission.js'
import type { Awaiter } from './awaiter.js'
import { drainOwnerBound } from './drain.js'
import type { Deferral, Disposition, DrainReport, DriveReport } from './drive-report.js'
import { ProcessError } from './errors.js'
import type { ProcessEventSink, WorkerFault } from './event-sink.js'
import { checkLeaseTimings, defaultLeaseTimings, type LeaseOwner, type LeaseTimings } from './lease.js'
import { Offers } from './offers.js'
import type { ProcessMetrics } from './process-metrics.js'
import { ProcessRun, type HeldLease, type RunTools } from './process-run.js'
import type { ProcessSpans } from './process-spans.js'
import type { ProcessRecord } from './record.js'
import { isClaimable } from './recovery.js'
import type { ProcessRunner } from './runner.js'
import type { ProcessId } from './scalars.js'
import type { ProcessStore, WorkCursor, WorkPage } from './store.js'

/** Options of a {@link Worker}. */
export interface WorkerOptions {
  /** A watched store, so that its waiters notice the worker's writes. */
  readonly store: ProcessStore
  readonly awaiter: Awaiter
  readonly runner: ProcessRunner
  /** The stable name of this worker, recorded in `firstStarted`. */
  readonly owner: LeaseOwner
  readonly clock: Clock
  readonly ids: IdSource
  readonly jobs: JobList
  readonly logger: Logger
  readonly sink?: ProcessEventSink
  /** How many processes run at a time, not counting those that are waiting. Default 64. */
  readonly concurrency?: number
  /** Limits of individual kinds. */
  readonly limits?: Readonly<Record<string, KindLimits>>
  readonly timings?: LeaseTimings
  /** Milliseconds that a run has to finish after it is told to stop. Default 5,000. */
  readonly graceMs?: number
  /** Milliseconds before retrying something that could not be run. Default 5,000. */
  readonly retryDelayMs?: number
  readonly spans?: ProcessSpans
  readonly metrics?: ProcessMetrics
  readonly inspect?: Inspect
}

/** The most rows in one page of a scan. */
const largestPage = 256
/** Milliseconds before reading a page again: three tries in all. */
const pageRetriesMs = [10, 20]
/** Milliseconds beyond the grace period that closing waits for the store to accept the outcomes of runs. */
const storeGraceMs = 1000
/** Milliseconds before checking a timer again that is due by this host's clock but not by the store's. */
const shortestTimerMs = 25

/**
 * Claims processes that nobody is working on, and runs them.
 *
 * The rows that have not ended are the queue. A scan goes through them page by page while there are free slots, and
 * continues when a slot is freed. Scans requested during a scan are combined into one more. Each claim has its own
 * owner id, so that a second scan by the same worker finds its first run busy, as any other worker would. What to do is
 * decided on the record as read under the lease. A run that waits gives its slot to others.
 *
 *     const worker = new Worker({ store, awaiter, runner, owner, ... })
 *     await worker.claimAndRunPending()
 */
export class Worker {
  readonly #options: WorkerOptions
  readonly #logger: Logger
  readonly #deadlines: DeadlineQueue
  readonly #slots: Slots
  readonly #timings: LeaseTimings
  readonly #tools: RunTools
  readonly #runs = new Map<ProcessId, ProcessRun>()
  /** Processes that are running or about to run here. Scans skip them. */
  readonly #taken = new Set<ProcessId>()
  readonly #offers = new Offers()
  readonly #admissionOptions: AdmissionOptions
  readonly #admission: Admission
  #scanning: Promise<void> | undefined
  #isRescanDue = false
  /** A process was skipped because its kind was full, so another scan follows as soon as a slot is freed. */
  #isRoomWanted = false
  #room: Deferred<void> | undefined
  #idle: Deferred<void> | undefined
  #timer: Disposable | undefined
  #retry: Disposable | undefined
  #isClosed = false
  #isHeld = false

  constructor(options: WorkerOptions) {
    const { store, awaiter, runner, clock, jobs, logger, concurrency = 64, limits = {} } = options
    const { spans, metrics, inspect } = options
    this.#options = options
    this.#logger = guardedLogger(logger)
    this.#deadlines = new DeadlineQueue(clock)
    this.#timings = checkLeaseTimings(options.timings ?? defaultLeaseTimings)
    this.#slots = new Slots({ limit: concurrency, clock, deadlines: this.#deadlines, onRoom: () => this.#onRoom() })
    for (const [kind, kindLimits] of Object.entries(limits)) this.#slots.configure(kind, kindLimits)
    const report = (fault: WorkerFault): void => this.#report(fault)
    const { owner, ids } = options
    this.#admissionOptions = { store, runner, owner, clock, ids, ttlMs: this.#timings.ttlMs, report }
    this.#admission = new Admission(this.#admissionOptions)
    const keeper = new LeaseKeeper<HeldLease>({
      deadlines: this.#deadlines,
      logger: this.#logger,
      intervalMs: this.#timings.renewIntervalMs,
      renew: (held) => this.#renew(held),
    })
    this.#tools = {
      store,
      awaiter,
      runner,
      keeper,
      clock,
      deadlines: this.#deadlines,
      jobs,
      logger: this.#logger,
      graceMs: options.graceMs ?? 5000,
      report,
      ...(spans !== undefined && { spans }),
      ...(metrics !== undefined && { metrics }),
      ...(inspect !== undefined && { inspect }),
    }
  }

  /** The number of processes claimed and not yet let go. */
  get size(): number {
    return this.#taken.size
  }

  /** Whether the worker has claimed the process, or is about to, and has not let it go. */
  isAtWorkOn(processId: ProcessId): boolean {
    return this.#taken.has(processId)
  }

  /**
   * Claims and starts processes that nobody is working on. Resolves once a scan has started as many as there were slots
   * for. The rest follows when slots are freed. Rejects with `process.worker_closed`.
   */
  async claimAndRunPending(): Promise<DriveReport> {
    if (this.#isClosed) throw new ProcessError('process.worker_closed', {})
    if (this.#isHeld) return { intake: 'coalesced', admitted: [], deferred: [] }
    if (this.#scanning !== undefined) {
      this.#isRescanDue = true
      return { intake: 'coalesced', admitted: [], deferred: [] }
    }
    const report = { admitted: [] as ProcessId[], deferred: [] as Deferral[] }
    const handedOver = createDeferred<void>()
    this.#scanning = silence(this.#scanAll(report, handedOver))
    await handedOver.promise
    return { intake: 'scanned', admitted: [...report.admitted], deferred: [...report.deferred] }
  }

  /**
   * Runs a process that was just registered as soon as there is a free slot, without scanning for it. If too many are
   * waiting for slots, a scan finds it.
   */
  offer(record: ProcessRecord): void {
    if (this.#isClosed) return
    // If a scan is waiting for a slot, the processes it has yet to reach go first. And only the store knows whether a
    // wait is over.
    if (this.#scanning !== undefined || record.wait !== undefined) this.#drive()
    else silence(this.#admit(record, (full) => this.#remember(full)))
  }

  /** Limits a kind from now on. Current runs continue. */
  limit(kind: string, limits: KindLimits): void {
    this.#slots.configure(kind, limits)
  }

  /**
   * Claims nothing until {@link Worker.release}, and hands over rerunnable processes: their runs are told to stop, and
   * other hosts may take them immediately. Owner-bound ones continue.
   */
  hold(graceMs?: number): void {
    this.#isHeld = true
    // A scan finds them when the worker claims again.
    this.#offers.clear()
    for (const run of this.#runs.values()) if (run.isRerunnable) run.close(graceMs)
  }

  /** Resumes claiming. */
  release(): void {
    this.#isHeld = false
  }

  /** Resolves once no run and no scan is in progress. For tests, and for hosts that wind down. */
  async idle(): Promise<void> {
    while (this.#taken.size > 0 || this.#scanning !== undefined) {
      this.#idle ??= createDeferred<void>()
      await this.#idle.promise
    }
  }

  /**
   * Abandons the owner-bound processes that this worker has started, for a host that will not come back. Those started
   * by others, those not yet started and rerunnable ones stay.
   */
  drainOwnerBoundWork(): Promise<DrainReport> {
    return drainOwnerBound(this.#admissionOptions)
  }

  /**
   * Accepts nothing more and tells runs to stop. Resolves once they have finished or their grace period is over, and
   * the store has accepted their outcomes; a failing store is given one more second. Rerunnable processes are free for
   * other hosts immediately. `graceMs` replaces the grace period of the options.
   */
  async close(graceMs?: number): Promise<void> {
    this.#isClosed = true
    this.#timer?.[Symbol.dispose]()
    this.#retry?.[Symbol.dispose]()
    this.#room?.resolve()
    for (const run of this.#runs.values()) run.close(graceMs)
    const latestMs = (graceMs ?? this.#tools.graceMs) + storeGraceMs
    using _ = this.#deadlines.after(latestMs, () => {
      for (const run of this.#runs.values()) run.drop()
    })
    await this.idle()
    this.#tools.keeper[Symbol.dispose]()
    this.#slots[Symbol.dispose]()
    this.#deadlines[Symbol.dispose]()
  }

  async #scanAll(report: { admitted: ProcessId[]; deferred: Deferral[] }, handedOver: Deferred<void>): Promise<void> {
    do {
      this.#isRescanDue = false
      await this.#scan(report, handedOver)
    } while (this.#isRescanDue && !this.#isClosed)
    this.#scanning = undefined
    handedOver.resolve()
    await this.#armTimer()
    this.#tellIdle()
  }

  async #scan(report: { admitted: ProcessId[]; deferred: Deferral[] }, handedOver: Deferred<void>): Promise<void> {
    const { concurrency = 64 } = this.#options
    // The scan reaches them as well.
    this.#offers.clear()
    let cursor: WorkCursor | undefined
    do {
      // With no free slot, fetching a page would be useless.
      while (this.#slots.taken >= concurrency && !this.#isClosed) {
        handedOver.resolve()
        this.#room ??= createDeferred<void>()
        await this.#room.promise
        this.#room = undefined
        // Runs that end together free their slots together, so that one page serves them all.
        await nextTurn()
      }
      if (this.#isClosed) return
      const page = await this.#page(Math.min(largestPage, concurrency - this.#slots.taken), cursor)
      if (page === undefined) return
      await Promise.all(
        page.records.map(async (record) => {
          const disposition = await this.#admit(record)
          if (disposition === undefined) report.admitted.push(record.id)
          else report.deferred.push({ processId: record.id, disposition })
        }),
      )
      cursor = page.next
    } while (cursor !== undefined)
  }

  async #page(limit: number, cursor: WorkCursor | undefined): Promise<WorkPage | undefined> {
    for (const delay of [...pageRetriesMs, undefined]) {
      try {
        return await this.#options.store.listWork(limit, cursor, this.#taken)
      } catch (error) {
        if (delay === undefined) {
          this.#report({ type: 'incomplete_scan', operation: 'list the work', message: messageOf(error) })
          this.#driveLater()
          return undefined
        }
        await new Promise<void>((resolve) => this.#deadlines.after(delay, resolve))
      }
    }
    return undefined
  }

  /**
   * Claims a process and starts what has to be done. `undefined` if it was started. `onFull` is called if there is no
   * free slot.
   */
  async #admit(
    record: ProcessRecord,
    onFull: (record: ProcessRecord) => void = () => (this.#isRoomWanted = true),
  ): Promise<Disposition | undefined> {
    const { runner } = this.#options
    const { id } = record
    if (this.#isHeld || this.#taken.has(id)) return { type: 'busy' }
    if (!isClaimable(record)) return { type: 'externally_owned' }
    if (record.disposition !== 'externally_owned' && !runner.canRun(record)) return { type: 'kind_unknown' }
    const slot = this.#slots.tryTake({ kind: record.identity.kind })
    if (slot === undefined) {
      onFull(record)
      return { type: 'busy' }
    }
    return this.#admitInto(slot, record)
  }

  async #admitInto(slot: Slot, record: ProcessRecord): Promise<Disposition | undefined> {
    const { id } = record
    if (this.#taken.has(id)) {
      slot.release()
      return { type: 'busy' }
    }
    this.#taken.add(id)
    const admitted = await this.#admission.admit(record)
    if ('start' in admitted) return this.#run({ ...admitted.start, slot })
    if (admitted.isRetried === true) this.#driveLater()
    this.#taken.delete(id)
    slot.release()
    this.#tellIdle()
    return admitted.disposition
  }

  #run(start: ConstructorParameters<typeof ProcessRun>[0]): undefined {
    const run = new ProcessRun(start, this.#tools)
    const { processId } = run
    this.#runs.set(processId, run)
    silence(this.#follow(run))
    // The worker was closed or held while this was being decided.
    if (this.#isClosed || (this.#isHeld && run.isRerunnable)) run.close()
  }

  async #follow(run: ProcessRun): Promise<void> {
    const { processId } = run
    try {
      if (!(await run.run())) this.#driveLater()
    } catch (error) {
      this.#report({ type: 'row_run_failed', processId, operation: 'end', message: messageOf(error) })
    } finally {
      this.#runs.delete(processId)
      this.#taken.delete(processId)
      this.#tellIdle()
    }
  }

  /**
   * Renews leases in one change. If the store fails, only runs whose lease would expire before the next try are
   * stopped.
   */
  async #renew(held: readonly HeldLease[]): Promise<readonly HeldLease[]> {
    const { store, clock } = this.#options
    const { ttlMs, renewIntervalMs } = this.#timings
    const askedAtMs = clock.monotonicNow()
    try {
      const renewed = await store.renewLeases(
        held.map(({ lease }) => lease),
        ttlMs,
      )
      const byProcess = new Map(renewed.map((lease) => [lease.processId, lease]))
      return held.filter((one) => {
        const lease = byProcess.get(one.lease.processId)
        if (lease === undefined) return true
        one.lease = lease
        one.renewedAtMs = askedAtMs
        return false
      })
    } catch (error) {
      const nextMs = clock.monotonicNow() + renewIntervalMs
      for (const one of held) if (one.renewedAtMs + ttlMs <= nextMs) one.onUnrenewable()
      throw error
    }
  }

  #onRoom(): void {
    this.#room?.resolve()
    if (this.#isRoomWanted) {
      this.#isRoomWanted = false
      this.#drive()
    } else if (this.#scanning === undefined) this.#admitOffered()
  }

  /** Remembers a process for which there is no free slot, unless a scan is due anyway. */
  #remember(record: ProcessRecord): void {
    if (!this.#isRoomWanted) this.#isRoomWanted = !this.#offers.add(record)
  }

  /** Starts remembered processes while there are free slots. */
  #admitOffered(): void {
    if (this.#isClosed) return
    this.#offers.handOver(
      (kind) => this.#slots.tryTake({ kind }),
      (slot, record) => void silence(this.#admitInto(slot, record)),
    )
  }

  /** Scans again. */
  #drive(): void {
    if (this.#isClosed) return
    this.claimAndRunPending().catch((error: unknown) =>
      this.#report({ type: 'incomplete_scan', operation: 'drive', message: messageOf(error) }),
    )
  }

  /** Scans again after a while, because something could not be run or ended and may be retried. */
  #driveLater(): void {
    if (this.#isClosed || this.#retry !== undefined) return
    this.#retry = this.#deadlines.after(this.#options.retryDelayMs ?? 5000, () => {
      this.#retry = undefined
      this.#drive()
    })
  }

  /** Scans again when the next timer of a process is due. */
  async #armTimer(): Promise<void> {
    const { store, clock } = this.#options
    let dueAtMs: number | undefined
    try {
      dueAtMs = await store.nextWorkAtMs()
    } catch (error) {
      this.#report({ type: 'incomplete_scan', operation: 'ask for the next timer', message: messageOf(error) })
      this.#driveLater()
    }
    if (this.#isClosed) return
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
    if (dueAtMs === undefined) return
    // A timer that is due by this host's clock but not yet by the store's would be checked in a busy loop.
    const left = dueAtMs - clock.wallNow()
    const delay = left > 0 ? left : shortestTimerMs
    this.#timer = this.#deadlines.after(delay, () => this.#drive())
  }

  #tellIdle(): void {
    if (this.#taken.size > 0 || this.#scanning !== undefined) return
    this.#idle?.resolve()
    this.#idle = undefined
  }

  #report(fault: WorkerFault): void {
    const { sink } = this.#options
    if (sink?.emitWorkerFault === undefined) {
      this.#logger.error(fault, 'a fault of a process worker')
      return
    }
    try {
      const emitted = sink.emitWorkerFault(fault)
      if (emitted instanceof Promise) silence(emitted)
    } catch (error) {
      this.#logger.error({ ...fault, ...faultFields(error) }, 'a fault of the process worker was refused by its sink')
    }
  }
}
