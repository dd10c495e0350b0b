import * as v from 'valibot'
import { checkedClock } from '../../base/checked-clock.js'
import { systemClock, type Clock } from '../../base/clock.js'
import { decode } from '../../base/decode.js'
import { messageOf, StatewardError, toError } from '../../base/errors.js'
import { createUuidSource, type IdSource } from '../../base/ids.js'
import { checkedIds } from '../../base/checked-ids.js'
import type { Logger } from '../../base/logger.js'
import { guardedLogger } from '../../base/observers.js'
import { functionSchema, optionsSchema, portSchema } from '../../base/options.js'
import { clockSchema, idSourceSchema, loggerSchema } from '../../base/ports.js'
import type { JournalStore } from '../../journal/journal.js'
import { Lane } from '../../lane/lane.js'
import type { LaneStream } from '../../lane/types.js'
import { EventStream, type Batch } from '../../state/stream.js'
import type { DecisionContext, ProcessCommand, ProcessWrites } from '../command.js'
import { ProcessError } from '../errors.js'
import type { SessionDeleteReport } from '../grant.js'
import { ProcessHub } from '../hub.js'
import { neverDead, type LivenessCheck } from '../lease.js'
import {
  isPrunable,
  takePrune,
  takeCompaction,
  type PruneOptions,
  type PruneReport,
  type TakenPrune,
  type Watermark,
} from '../pruning.js'
import { takeBound, takeId, type ProcessId } from '../scalars.js'
import type { DurabilityTier, ProcessStore } from '../store.js'
import { processCatalogue, type StoreCommand, type StoreEvent } from './catalogue.js'
import { changeIn, ReadingStore } from './reading-store.js'
import type { ProcessTables } from './tables.js'

/** Options of an embedded store. */
export interface EmbeddedProcessStoreOptions {
  /** Default: the system clock. */
  readonly clock?: Clock
  /** Generates lease tokens. Default: UUIDs based on the clock. */
  readonly ids?: IdSource
  readonly logger?: Logger
  /**
   * Tells which lease holders are known to be dead, in addition to those from before the store was opened. By default
   * none: a lease is freed only when it expires.
   */
  readonly isHolderDead?: LivenessCheck
}

/** Options of `openProcessStore`. */
export interface OpenProcessStoreOptions extends EmbeddedProcessStoreOptions {
  /** Makes the store durable. Without it, the store lives in memory. */
  readonly journal?: JournalStore
}

const optionsOfStore = {
  clock: v.optional(clockSchema),
  ids: v.optional(idSourceSchema),
  logger: v.optional(loggerSchema),
  isHolderDead: v.optional(functionSchema<LivenessCheck>()),
}
const storeOptionsSchema = optionsSchema<EmbeddedProcessStoreOptions>(optionsOfStore)
const openOptionsSchema = optionsSchema<OpenProcessStoreOptions>({
  ...optionsOfStore,
  journal: v.optional(portSchema<JournalStore>(['open'])),
})

/** How many processes one change prunes or detaches from a session. */
const mostAtOnce = 5_000

/** An embedded store with its own lane. */
export interface OpenedProcessStore extends ProcessStore {
  /** Writes a snapshot and shortens the journal now, instead of waiting until it has grown. */
  compact(): Promise<void>
  /** Waits for writes in progress and releases the journal. */
  close(): Promise<void>
}

/**
 * Opens a store in memory or on its own journal. (A runtime instead puts its store on the lane that all rooms share.)
 * Rejects with `invalid_input` for a wrong option, and with the errors of the journal and of its contents.
 */
export async function openProcessStore(options: OpenProcessStoreOptions = {}): Promise<OpenedProcessStore> {
  const { journal, ...rest } = decode(openOptionsSchema, options, 'process store options')
  const store = new EmbeddedProcessStore(rest)
  const lane = await Lane.open({
    ...(journal !== undefined && { store: journal }),
    streamFor: (name) => (name === store.streamName ? store.stream : undefined),
    ...(rest.logger !== undefined && { logger: rest.logger }),
    ...(rest.clock !== undefined && { clock: rest.clock }),
  })
  store.start(lane)
  const close = (): Promise<void> => {
    store.hub.close()
    return lane.close()
  }
  return Object.assign(store, { compact: () => lane.compact(), close })
}

/**
 * The process store inside this Node process, in memory or on the journal of its runtime. It is the only writer, so
 * every change is one decision on the rows in memory, which the lane makes durable.
 *
 * A lease that was held before the directory was opened counts as held by a dead holder (P-44): the directory lock
 * proves that no other process is using it.
 */
export class EmbeddedProcessStore extends ReadingStore {
  /** Name of its stream in the journal. */
  static readonly streamName = 'processes'
  readonly streamName = EmbeddedProcessStore.streamName
  readonly writers = 'this_hub'
  readonly hub = new ProcessHub()
  readonly #stream: EventStream<ProcessTables, ProcessTables, StoreEvent, StoreCommand>
  readonly #logger: Logger
  readonly #context: DecisionContext
  /** Tokens of leases whose holders cannot be alive. */
  readonly #dead: Set<string>
  #lane: Lane | undefined

  constructor(options: EmbeddedProcessStoreOptions = {}) {
    const decoded = decode(storeOptionsSchema, options, 'process store options')
    const { clock = systemClock, ids, logger, isHolderDead = neverDead } = decoded
    const dead = new Set<string>()
    const checked = checkedClock(clock)
    const nowMs = (): number => Math.trunc(checked.wallNow())
    super({
      isHolderDead: (holder, claimant) => dead.has(holder.leaseToken) || isHolderDead(holder, claimant),
      nowMs,
    })
    this.#dead = dead
    this.#logger = guardedLogger(logger)
    const tokens = ids === undefined ? createUuidSource({ now: nowMs }) : checkedIds(ids)
    this.#context = {
      get nowMs() {
        return nowMs()
      },
      newToken: () => tokens.uuid(),
    }
    this.#stream = new EventStream<ProcessTables, ProcessTables, StoreEvent, StoreCommand>({
      name: this.streamName,
      catalogue: processCatalogue,
      tables: this.tables,
      latest: this.tables,
      ...(logger !== undefined && { logger }),
    })
    this.#stream.onCommit((events) => {
      for (const event of events) {
        const processId = awaitedIn(event)
        if (processId !== undefined) this.hub.notify(processId)
      }
    })
  }

  /** `journal` or `memory`. */
  get name(): string {
    return this.#lane?.isDurable === true ? 'journal' : 'memory'
  }

  /** @internal The store's stream on the lane. */
  get stream(): LaneStream {
    return this.#stream
  }

  /**
   * Starts accepting calls, and attaches the stream to the lane unless its journal already contained it. Raises
   * `snapshot_incomplete` if the journal's snapshot ended early.
   */
  start(lane: Lane): void {
    this.#stream.start(lane)
    this.#lane = lane
    for (const [, { holder }] of this.tables.leases.entries())
      if (holder !== undefined) this.#dead.add(holder.leaseToken)
  }

  override durabilityTier(): DurabilityTier {
    return this.#lane?.isDurable === true ? 'durable' : 'inline'
  }

  protected override async run<Result>(command: ProcessCommand<Result>): Promise<Result> {
    const { result, refusal } = await this.#transact((batch) => this.#take(batch, command))
    if (refusal !== undefined) throw refusal
    return result
  }

  protected override async runAll<Result>(commands: readonly ProcessCommand<Result>[]): Promise<readonly Result[]> {
    const taken = await this.#transact((batch) => commands.map((command) => this.#take(batch, command)))
    return taken.map(({ result, refusal }) => {
      if (refusal !== undefined) throw refusal
      return result
    })
  }

  override async deleteSessionProcessState(sessionId: string): Promise<SessionDeleteReport> {
    const id = takeId(sessionId, 'session id')
    // Wait until earlier writes are committed, because the lookup reads committed data.
    await this.#lane?.settled()
    return this.#transact((batch) => this.#detach(batch, id))
  }

  override async pruneTerminal(cutoffMs: number, options: PruneOptions): Promise<PruneReport> {
    const taken = takePrune(cutoffMs, options)
    const readThrough = this.#readThrough(taken.watermark)
    await this.#lane?.settled()
    const { ended } = this.tables.indexes
    const ids: ProcessId[] = []
    if (taken.ids !== undefined) ids.push(...new Set(taken.ids))
    else
      for (const { at, id } of ended) {
        if (at >= taken.cutoffMs) break
        if (this.#isPrunable(id, taken, readThrough)) ids.push(id)
      }
    let [prunedProcesses, prunedEvents] = [0, 0]
    for (const some of chunksOf(ids.toSorted())) {
      const pruned = await this.#transact((batch) => this.#prune(batch, some, taken, readThrough))
      prunedProcesses += pruned.prunedProcesses
      prunedEvents += pruned.prunedEvents
    }
    return { prunedProcesses, prunedEvents }
  }

  override async compactTombstones(cutoffMs: number, options: Omit<PruneOptions, 'filter'>): Promise<number> {
    const cutoff = takeBound(cutoffMs, 'tombstone cutoff')
    const taken = takeCompaction(options)
    const readThrough = this.#readThrough(taken.watermark)
    await this.#lane?.settled()
    const { tombstones } = this.tables
    const isDone = (id: ProcessId): boolean => {
      const row = tombstones.latest(id)
      return row !== undefined && row.tombstone.prunedAtMs < cutoff && row.change <= readThrough
    }
    const ids = [...new Set(taken.ids ?? Array.from(tombstones.entries(), ([id]) => id))].filter(isDone)
    let compacted = 0
    for (const some of chunksOf(ids.toSorted())) {
      compacted += await this.#transact((batch) => {
        const processIds = some.filter(isDone)
        if (processIds.length > 0) batch.take({ type: 'tombstones_compacted', processIds })
        return processIds.length
      })
    }
    return compacted
  }

  #take<Result>(
    batch: Batch<ProcessTables, StoreCommand>,
    command: ProcessCommand<Result>,
  ): { readonly result: Result; readonly refusal: Error | undefined } {
    const { processId, key, scopeId } = command
    const { processes, tombstones, leases, logs, grants } = this.tables
    const { writes, result, refusal, warning } = command.decide(
      {
        process: processes.latest(processId)?.stored,
        tombstone: tombstones.latest(processId)?.tombstone,
        lease: leases.latest(processId),
        keyed: key === undefined ? undefined : logs.latest(processId)?.under(key),
        grant: scopeId === undefined ? undefined : grants.latest(processId)?.find((grant) => grant.scopeId === scopeId),
      },
      this.#context,
    )
    if (warning !== undefined) this.#logger.warn({ processId }, warning)
    if (writes !== undefined) this.#write(batch, processId, writes)
    return { result, refusal }
  }

  #write(batch: Batch<ProcessTables, StoreCommand>, processId: ProcessId, writes: ProcessWrites): void {
    const { register, ...change } = writes
    if (register !== undefined) {
      const { state: _, ...registration } = register
      batch.take({ type: 'process_registered', ...registration })
    }
    const { ack, ...others } = change
    const isRepeat = ack !== undefined && this.tables.logs.get(processId)?.isAcked(ack) === true
    const effective = isRepeat ? others : change
    if (Object.keys(effective).length > 0) batch.take({ type: 'process_changed', processId, ...effective })
  }

  #detach(batch: Batch<ProcessTables, StoreCommand>, sessionId: string): SessionDeleteReport {
    const { indexes, grants, processes } = this.tables
    const isLive = (id: ProcessId): boolean => processes.latest(id)?.stored.state.status === 'running'
    const affected = new Set([...indexes.bySession.get(sessionId), ...indexes.byWakeSession.get(sessionId)])
    const ids = [...affected].filter((id) => processes.latest(id) !== undefined).toSorted()
    const [orphanedProcessIds, preservedProcessIds]: ProcessId[][] = [[], []]
    let revokedHandleCount = 0
    for (const id of ids) {
      const held = grants.latest(id) ?? []
      const revoked = held.filter((grant) => grant.sessionId === sessionId).length
      revokedHandleCount += revoked
      if (revoked > 0 && isLive(id)) (revoked === held.length ? orphanedProcessIds : preservedProcessIds)?.push(id)
    }
    for (const processIds of chunksOf(ids)) {
      batch.take({ type: 'session_detached', sessionId, processIds, atMs: this.nowMs() })
    }
    return {
      sessionId,
      revokedHandleCount,
      deletedWakeCount: 0,
      orphanedProcessIds: orphanedProcessIds ?? [],
      preservedProcessIds: preservedProcessIds ?? [],
    }
  }

  #prune(
    batch: Batch<ProcessTables, StoreCommand>,
    candidates: readonly ProcessId[],
    taken: TakenPrune,
    readThrough: number,
  ): PruneReport {
    const processIds = candidates.filter((id) => this.#isPrunable(id, taken, readThrough))
    let prunedEvents = 0
    for (const id of processIds) prunedEvents += this.tables.processes.latest(id)?.stored.state.lastSequence ?? 0
    if (processIds.length > 0) batch.take({ type: 'processes_pruned', processIds, atMs: this.nowMs() })
    return { prunedProcesses: processIds.length, prunedEvents }
  }

  #isPrunable(id: ProcessId, taken: TakenPrune, readThrough: number): boolean {
    const row = this.tables.processes.latest(id)
    if (row === undefined) return false
    const facts = { isRead: row.change <= readThrough, hasPendingWakes: this.tables.indexes.hasPendingWakes(id) }
    return isPrunable(row.stored, taken, facts)
  }

  #readThrough(watermark: Watermark): number {
    return watermark.type === 'no_projector' ? Number.MAX_SAFE_INTEGER : changeIn(this.tables, watermark.cursor)
  }

  async #transact<Result>(build: (batch: Batch<ProcessTables, StoreCommand>) => Result): Promise<Result> {
    try {
      return await this.#stream.transact(build)
    } catch (cause) {
      throw this.#asOwn(toError(cause))
    }
  }

  /** Reports a failure of the lane as a failure of this store. Refusals pass unchanged. */
  #asOwn(cause: Error): Error {
    if (!StatewardError.is(cause) || !cause.code.startsWith('lane_')) return cause
    return new ProcessError('store.unavailable', { store: this.name, reason: messageOf(cause) }, { cause })
  }
}

/**
 * The process whose waiters an event concerns. Leases and grants concern no waiter, and nobody can be waiting for a
 * pruned process (P-140).
 */
function awaitedIn(event: StoreEvent): ProcessId | undefined {
  switch (event.type) {
    case 'process_registered':
      return event.registered.id
    case 'process_changed':
      return event.entries === undefined && event.ack === undefined ? undefined : event.processId
    case 'session_detached':
    case 'processes_pruned':
    case 'tombstones_compacted':
      return undefined
  }
}

function* chunksOf(ids: readonly ProcessId[]): Iterable<readonly ProcessId[]> {
  for (let from = 0; from < ids.length; from += mostAtOnce) yield ids.slice(from, from + mostAtOnce)
}
