import { faultFields } from '../base/error-details.js'
import type { Clock } from '../base/clock.js'
import { DeadlineQueue } from '../base/deadline-queue.js'
import { messageOf, StatewardError } from '../base/errors.js'
import type { IdSource } from '../base/ids.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger } from '../base/observers.js'
import { createDeferred, nextTurn, silence, type Deferred } from '../base/promises.js'
import type { Inspect } from '../base/inspection.js'
import type { JobList } from '../work/job-list.js'
import { LeaseKeeper } from '../work/lease-keeper.js'
import type { Slot } from '../work/slot.js'
import { Slots, type KindLimits } from '../work/slots.js'
import type { Awaiter } from './awaiter.js'
import { claim, isSuperseded } from './claim.js'
import { ProcessError } from './errors.js'
import type { ProcessEventSink, WorkerFault } from './event-sink.js'
import {
  checkLeaseTimings,
  defaultLeaseTimings,
  type LeaseOwner,
  type LeaseTimings,
  type ProcessLease,
} from './lease.js'
import type { ProcessMetrics } from './process-metrics.js'
import { ProcessRun, type HeldLease, type RunTools } from './process-run.js'
import type { ProcessSpans } from './process-spans.js'
import type { ProcessRecord } from './record.js'
import { isClaimable, recoveryOf } from './recovery.js'
import type { ProcessRunner } from './runner.js'
import type { ProcessId } from './scalars.js'
import type { ProcessStore, WorkCursor, WorkPage } from './store.js'
import { isFailureOfStore } from './store-failure.js'

/** Why a process was not taken. */
export type Disposition =
  /** Another holder is working on it, or this worker already is. */
  | { readonly type: 'busy' }
  /** It was pruned in the meantime. */
  | { readonly type: 'absent' }
  /** It has ended in the meantime. */
  | { readonly type: 'settled_by_peer' }
  /** It was ended here without being run. */
  | { readonly type: 'already_applied' }
  | { readonly type: 'lease_lost' }
  | { readonly type: 'externally_owned' }
  /** Bound to an owner that may still be working. */
  | { readonly type: 'owner_bound' }
  /** This host cannot run it. */
  | { readonly type: 'kind_unknown' }
  | { readonly type: 'backend_error'; readonly operation: string }

/** A process that was not taken. */
export interface Deferral {
  readonly processId: ProcessId
  readonly disposition: Disposition
}

/** What a scan has done. Admitted processes have started, but not ended. */
export interface DriveReport {
  /** `coalesced`: a scan was already running, and another one follows it. */
  readonly intake: 'scanned' | 'coalesced'
  readonly admitted: readonly ProcessId[]
  readonly deferred: readonly Deferral[]
}

/** What draining has done. */
export interface DrainReport {
  /** In the order in which they were abandoned. */
  readonly abandoned: readonly ProcessId[]
  readonly deferred: readonly Deferral[]
}

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
/** How many offered processes are remembered until there is a free slot. With more, the store is scanned for them. */
const mostOffered = 1024
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
  /** Processes offered while there was no free slot, by kind, and their number. */
  readonly #offered = new Map<string, ProcessRecord[]>()
  #offeredCount = 0
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
      report: (fault) => this.#report(fault),
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
    this.#forgetOffered()
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
  async drainOwnerBoundWork(): Promise<DrainReport> {
    const { store, owner } = this.#options
    const abandoned: ProcessId[] = []
    const deferred: Deferral[] = []
    for (const record of await store.listNonTerminal()) {
      if (record.disposition !== 'owner_bound' || record.firstStarted?.owner.ownerId !== owner.ownerId) continue
      const disposition = await this.#drain(record.id)
      if (disposition === undefined) abandoned.push(record.id)
      else deferred.push({ processId: record.id, disposition })
    }
    return { abandoned, deferred }
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
    this.#forgetOffered()
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
    let operation = 'claim'
    this.#taken.add(id)
    try {
      if (record.disposition === 'rerunnable') {
        const begun = await this.#begin(record, slot)
        if (begun !== 'held_by_the_dead') return begun
      }
      const claimed = await claim(this.#options.store, id, this.#claimant(), this.#timings.ttlMs)
      if (claimed === undefined) return this.#leaveHeld(id, slot)
      operation = 'read'
      return await this.#decide(record, claimed.lease, claimed.deadHolder, slot, (next) => (operation = next))
    } catch (error) {
      this.#letGo(id, slot, { type: 'busy' })
      if (isSuperseded(error)) return { type: 'lease_lost' }
      if (StatewardError.is(error, 'process.unknown')) return { type: 'absent' }
      this.#report({ type: 'row_backend_error', processId: id, operation, message: messageOf(error) })
      if (isFailureOfStore(error)) this.#driveLater()
      return { type: 'backend_error', operation }
    }
  }

  /**
   * Claims a rerunnable process and starts it, in one change: it is run whatever has happened to it, unless it has
   * ended. A process held by a dead owner is left to the takeover that follows.
   */
  async #begin(found: ProcessRecord, slot: Slot): Promise<Disposition | 'held_by_the_dead' | undefined> {
    const { store, clock, owner } = this.#options
    const { id } = found
    const claimant = this.#claimant()
    const started = { owner, startedAtMs: Math.trunc(clock.wallNow()) }
    try {
      const claimed = await store.claimAndStart(id, claimant, started, this.#timings.ttlMs)
      switch (claimed.outcome) {
        case 'started':
          return this.#run({ record: claimed.record, lease: claimed.lease, slot })
        case 'ended':
          return this.#letGo(id, slot, { type: 'settled_by_peer' })
        case 'busy':
          if (store.isHolderDead(claimed.holder, claimant)) return 'held_by_the_dead'
          return this.#leaveHeld(id, slot)
      }
    } catch (error) {
      if (!StatewardError.is(error, 'process.attempts_exhausted')) throw error
      return this.#letGo(id, slot, { type: 'already_applied' })
    }
  }

  async #decide(
    found: ProcessRecord,
    lease: ProcessLease,
    deadHolder: ProcessLease | undefined,
    slot: Slot,
    step: (operation: string) => void,
  ): Promise<Disposition | undefined> {
    const { store, clock, owner, runner } = this.#options
    const { id } = found
    const nowMs = Math.trunc(clock.wallNow())
    const release = async (disposition: Disposition): Promise<Disposition> => {
      step('release')
      await store.completeLease({ processId: id, leaseToken: lease.leaseToken })
      return this.#letGo(id, slot, disposition)
    }
    // A rerunnable process is run whatever has happened to it. If it has ended, its start is refused.
    const record = found.disposition === 'rerunnable' ? found : await store.getProcess(id)
    if (record === undefined) return release({ type: 'absent' })
    const recovery = recoveryOf(record, { nowMs, deadHolder, isRecoverable: runner.canRecover?.(record) ?? false })
    switch (recovery.action) {
      case 'leave':
        return release({ type: 'externally_owned' })
      case 'release':
        return release(record.status === 'running' ? { type: 'owner_bound' } : { type: 'settled_by_peer' })
      case 'recover':
        return this.#run({ record, lease, slot, recovery: { deadHolder, evidence: recovery.evidence } })
      case 'abandon': {
        step('write its end')
        const { outcome } = await store.completeWithLease(lease, { type: 'abandoned', evidence: recovery.evidence })
        const type = outcome === 'superseded' ? 'settled_by_peer' : 'already_applied'
        return this.#letGo(id, slot, { type })
      }
      case 'run': {
        step('record its start')
        try {
          const started = await store.recordFirstStarted(id, { owner, startedAtMs: nowMs }, { lease })
          return this.#run({ record: started, lease, slot })
        } catch (error) {
          if (StatewardError.is(error, 'process.attempts_exhausted')) return release({ type: 'already_applied' })
          if (StatewardError.is(error, 'process.already_terminal')) return release({ type: 'settled_by_peer' })
          if (StatewardError.is(error, 'process.already_started')) return release({ type: 'owner_bound' })
          throw error
        }
      }
    }
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
   * If this host is the only writer, the lease is one of its own that could not be released. It expires without
   * notification, so look again later.
   */
  #leaveHeld(id: ProcessId, slot: Slot): Disposition {
    if (this.#options.store.writers !== 'many') this.#driveLater()
    return this.#letGo(id, slot, { type: 'busy' })
  }

  #letGo(id: ProcessId, slot: Slot, disposition: Disposition): Disposition {
    this.#taken.delete(id)
    slot.release()
    this.#tellIdle()
    return disposition
  }

  async #drain(processId: ProcessId): Promise<Disposition | undefined> {
    const { store, owner, clock, ids, runner } = this.#options
    const identity = { ...owner, ownerId: `${owner.ownerId}:drain:${ids.uuid()}`, incarnationId: ids.uuid() }
    try {
      const claimed = await store.claimLease(processId, identity, this.#timings.ttlMs)
      if (claimed.outcome === 'busy') return { type: 'busy' }
      const { lease } = claimed
      const release = async (disposition: Disposition): Promise<Disposition> => {
        await store.completeLease({ processId, leaseToken: lease.leaseToken })
        return disposition
      }
      const record = await store.getProcess(processId)
      if (record === undefined) return await release({ type: 'absent' })
      if (record.status !== 'running') return await release({ type: 'settled_by_peer' })
      const evidence = { writer: 'owner_drain', owner, epochMs: Math.trunc(clock.wallNow()) } as const
      // First end what is still running without its owner.
      const isLeft = runner.canRun(record) && runner.canRecover?.(record) === true
      const own = isLeft ? await runner.reap?.(record, store) : undefined
      const { outcome } = await store.completeWithLease(lease, own ?? { type: 'abandoned', evidence })
      if (outcome === 'committed') return own && { type: 'already_applied' }
      return { type: outcome === 'superseded' ? 'settled_by_peer' : 'already_applied' }
    } catch (error) {
      if (isSuperseded(error)) return { type: 'lease_lost' }
      if (StatewardError.is(error, 'process.unknown')) return { type: 'absent' }
      this.#report({ type: 'row_backend_error', processId, operation: 'drain', message: messageOf(error) })
      return { type: 'backend_error', operation: 'drain' }
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

  /** A new owner id for each claim. */
  #claimant(): LeaseOwner {
    const { owner, ids } = this.#options
    const incarnationId = ids.uuid()
    return { ...owner, ownerId: `${owner.ownerId}:recovery:${incarnationId}`, incarnationId }
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
    if (this.#isRoomWanted || this.#offeredCount >= mostOffered) {
      this.#isRoomWanted = true
      return
    }
    const { kind } = record.identity
    const before = this.#offered.get(kind)
    if (before === undefined) this.#offered.set(kind, [record])
    else before.push(record)
    this.#offeredCount += 1
  }

  #forgetOffered(): void {
    this.#offered.clear()
    this.#offeredCount = 0
  }

  /** Starts remembered processes while there are free slots, one kind after another. */
  #admitOffered(): void {
    for (const [kind, records] of this.#offered) {
      if (this.#isClosed) return
      const slot = this.#slots.tryTake({ kind })
      if (slot === undefined) continue
      const record = records.shift() as ProcessRecord
      this.#offeredCount -= 1
      this.#offered.delete(kind)
      // Moved to the end of the map, so this loop reaches the kind again after the others.
      if (records.length > 0) this.#offered.set(kind, records)
      silence(this.#admitInto(slot, record))
    }
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
