import type * as restate from '@restatedev/restate-sdk'
import type { Decided, DecisionContext, ProcessCommand, ProcessRows, ProcessWrites } from '../processes/command.js'
import { unknownProcess } from '../processes/command.js'
import type { LogEntry } from '../processes/event.js'
import { compareGrants, type HandleGrant } from '../processes/grant.js'
import type { StoredLease } from '../processes/lease.js'
import type { AwaitOutput, ProcessId } from '../processes/index.js'
import type { Tombstone } from '../processes/pruning.js'
import type { StoredProcess } from '../processes/record.js'
import { keyOf } from './keys.js'
import { appendToFeed, readTail, tailAsks, tailOf, tellWatchers, type FeedTail } from './object-feed.js'
import type { ProcessEnd } from './wire.js'
import { atOnce } from './at-once.js'
import { withNow, type CallTime } from './now.js'

type Context = restate.ObjectContext
type SharedContext = restate.ObjectSharedContext

/** One process: the row that every store holds, with what the engine needs in addition. */
export interface ProcessRow {
  readonly stored: StoredProcess
  /** The number of its last change. */
  readonly change: number
  /** Identifies its run on the engine. Absent if the process is executed elsewhere. */
  readonly invocationId?: string
  /** True if its token was claimed by an outside worker, not by a run. */
  readonly isOutside?: true
  readonly progressCount: number
  readonly progress?: string
  /** Its position in the feed, once it has ended. */
  readonly seq?: number
}

/** The tombstone of a pruned process, and the number of that change. */
export interface TombstoneRow {
  readonly tombstone: Tombstone
  readonly change: number
}

/** The rows that a decision about a process reads. */
interface Held {
  readonly row: ProcessRow | undefined
  readonly tombstone: TombstoneRow | undefined
  readonly lease: StoredLease | undefined
}

export const rowKey = (id: ProcessId): string => `process/${id}`
export const tombstoneKey = (id: ProcessId): string => `tombstone/${id}`
const leaseKey = (id: ProcessId): string => keyOf('lease', id, 'row')
const grantsKey = (id: ProcessId): string => keyOf('grants', id, 'row')
const acksKey = (id: ProcessId): string => keyOf('acks', id, 'row')
const eventKey = (id: ProcessId, sequence: number): string => keyOf('event', id, sequence)
const replayKey = (id: ProcessId, key: string): string => keyOf('replay', id, encodeURIComponent(key))
const changesKey = 'changes'

/**
 * The processes that one call is about. Decisions are made by the commands of the processes room, like in every store:
 * they get the rows fetched here, and their writes become the one change of the call.
 */
export class ProcessBook {
  /** The time of this call, in epoch milliseconds. */
  readonly nowMs: number
  readonly #ctx: SharedContext
  readonly #held = new Map<ProcessId, Held>()
  readonly #grants = new Map<ProcessId, readonly HandleGrant[]>()
  readonly #acks = new Map<ProcessId, readonly number[]>()
  readonly #entries = new Map<string, LogEntry>()
  readonly #sequences = new Map<string, number>()
  readonly #changed = new Set<ProcessId>()
  readonly #leased = new Set<ProcessId>()
  readonly #granted = new Set<ProcessId>()
  readonly #acked = new Set<ProcessId>()
  readonly #unburied = new Set<ProcessId>()
  readonly #newEntries: string[] = []
  readonly #newSequences: string[] = []
  readonly #ended: ProcessId[] = []
  readonly #context: DecisionContext
  /** The number of the last change before this call, once it was read. */
  #last: number | undefined
  #changes: number | undefined

  constructor(ctx: SharedContext, nowMs: number) {
    this.#ctx = ctx
    this.nowMs = nowMs
    this.#context = { nowMs, newToken: () => ctx.rand.uuidv4() }
  }

  /** Opens the book for a call about one process. */
  static async open(ctx: SharedContext, time: CallTime, id: ProcessId): Promise<ProcessBook> {
    const [nowMs, [row, lease, changes]] = await withNow(time, ...heldAsks(ctx, id), () => ctx.get<number>(changesKey))
    const book = new ProcessBook(ctx, nowMs)
    book.#last = changes ?? 0
    book.#held.set(id, await heldOf(ctx, id, row, lease))
    return book
  }

  /** The same for a process that is about to end, with what its end needs to know of the feed. */
  static async openForEnd(
    ctx: SharedContext,
    time: CallTime,
    id: ProcessId,
  ): Promise<{ readonly book: ProcessBook; readonly tail: FeedTail }> {
    const [nowMs, [row, lease, changes, ...tail]] = await withNow(
      time,
      ...heldAsks(ctx, id),
      () => ctx.get<number>(changesKey),
      ...tailAsks(ctx, id),
    )
    const book = new ProcessBook(ctx, nowMs)
    book.#last = changes ?? 0
    book.#held.set(id, await heldOf(ctx, id, row, lease))
    return { book, tail: tailOf(...tail) }
  }

  /** Fetches the rows of a process. */
  async fetch(id: ProcessId): Promise<Held> {
    let held = this.#held.get(id)
    if (held === undefined) {
      const read = await atOnce(...heldAsks(this.#ctx, id))
      this.#held.set(id, (held = await heldOf(this.#ctx, id, ...read)))
    }
    return held
  }

  /** The handle grants of a process. */
  async grantsOf(id: ProcessId): Promise<readonly HandleGrant[]> {
    let grants = this.#grants.get(id)
    if (grants === undefined) this.#grants.set(id, (grants = (await this.#ctx.get<HandleGrant[]>(grantsKey(id))) ?? []))
    return grants
  }

  /** The acknowledged sequences of a process's log. */
  async acksOf(id: ProcessId): Promise<readonly number[]> {
    let acks = this.#acks.get(id)
    if (acks === undefined) this.#acks.set(id, (acks = (await this.#ctx.get<number[]>(acksKey(id))) ?? []))
    return acks
  }

  /** The row of a process. Raises `process.unknown`. */
  async known(id: ProcessId): Promise<Held & { readonly row: ProcessRow }> {
    const { row, ...held } = await this.fetch(id)
    if (row === undefined) throw unknownProcess(id, held.tombstone?.tombstone)
    return { row, ...held }
  }

  /** The events of a process after a sequence. Raises `process.unknown`. */
  async logAfter(id: ProcessId, after: number): Promise<readonly LogEntry[]> {
    const { row } = await this.known(id)
    const { lastSequence } = row.stored.state
    const keys = Array.from({ length: Math.max(0, lastSequence - after) }, (_, index) =>
      eventKey(id, after + index + 1),
    )
    const unread = keys.filter((key) => !this.#entries.has(key))
    const read = await atOnce(...unread.map((key) => () => this.#ctx.get<LogEntry>(key)))
    const entries = new Map([...this.#entries, ...unread.map((key, index) => [key, read[index] as LogEntry] as const)])
    return keys.map((key) => entries.get(key) as LogEntry)
  }

  /** Runs a command. Later commands see its effects. Raises its refusal, and then nothing has changed. */
  async decide<Result>(command: ProcessCommand<Result>): Promise<Decided<Result>> {
    const { processId: id, key, scopeId } = command
    const held = await this.fetch(id)
    const rows: ProcessRows = {
      process: held.row?.stored,
      tombstone: held.tombstone?.tombstone,
      lease: held.lease,
      keyed: key === undefined ? undefined : await this.#keyed(id, key),
      grant: scopeId === undefined ? undefined : (await this.grantsOf(id)).find((grant) => grant.scopeId === scopeId),
    }
    const decided = command.decide(rows, this.#context)
    if (decided.writes !== undefined) await this.#take(id, held, decided.writes, decided.process)
    return decided
  }

  /** Replaces the engine's part of a row. This does not appear in the change feed. */
  replace(id: ProcessId, row: ProcessRow): void {
    this.#put(id, { row })
    this.#changed.add(id)
  }

  /** Replaces the stored lease of a process. */
  lease(id: ProcessId, lease: StoredLease): void {
    this.#put(id, { lease })
    this.#leased.add(id)
  }

  /**
   * Writes everything that was decided. `tail` may have been read before. Resolves with the runs of ended processes,
   * which must be notified.
   */
  async write(ctx: Context, tail?: FeedTail): Promise<readonly ProcessRow[]> {
    for (const id of this.#ended) {
      const { row } = await this.known(id)
      const { registered, state } = row.stored
      const told = { processId: id, kind: kindOf(row), output: state.outcome as AwaitOutput, endedAtMs: this.nowMs }
      // What was read before counts for one end: the next one comes behind it.
      const stood = this.#ended.length === 1 && tail !== undefined ? tail : await readTail(ctx, id)
      const { seq } = appendToFeed<ProcessEnd>(ctx, stood, (next) => ({ seq: next, ...told }))
      this.replace(registered.id, { ...row, seq })
      tellWatchers(ctx, id, stood, told.output)
    }
    for (const key of this.#newEntries) ctx.set(key, this.#entries.get(key))
    for (const key of this.#newSequences) ctx.set(key, this.#sequences.get(key))
    for (const id of this.#unburied) ctx.clear(tombstoneKey(id))
    for (const id of this.#changed) ctx.set(rowKey(id), (await this.known(id)).row)
    for (const id of this.#leased) ctx.set(leaseKey(id), (await this.fetch(id)).lease)
    for (const id of this.#granted) ctx.set(grantsKey(id), await this.grantsOf(id))
    for (const id of this.#acked) ctx.set(acksKey(id), await this.acksOf(id))
    if (this.#changes !== undefined) ctx.set(changesKey, this.#changes)
    return Promise.all(this.#ended.map(async (id) => (await this.known(id)).row))
  }

  /** The number of the next change. */
  async nextChange(): Promise<number> {
    this.#changes = (await this.changes()) + 1
    return this.#changes
  }

  /** The number of the last change. */
  async changes(): Promise<number> {
    this.#last ??= (await this.#ctx.get<number>(changesKey)) ?? 0
    return this.#changes ?? this.#last
  }

  /** Removes a session's grants on a process, and its wake target if it is this session. */
  async detach(id: ProcessId, sessionId: string): Promise<void> {
    const { row } = await this.known(id)
    const grants = await this.grantsOf(id)
    const others = grants.filter((grant) => grant.sessionId !== sessionId)
    if (others.length < grants.length) this.#grant(id, others)
    if (row.stored.wakeTarget?.sessionId !== sessionId) return
    const { wakeTarget: _, ...rest } = row.stored
    const stored = { ...rest, state: { ...row.stored.state, updatedAtMs: this.nowMs } }
    this.replace(id, { ...row, stored, change: await this.nextChange() })
  }

  async #take(id: ProcessId, held: Held, writes: ProcessWrites, process: StoredProcess | undefined): Promise<void> {
    const { register, entries = [], lease, ack, grant, revoke } = writes
    const stored = process ?? register
    if (stored !== undefined) {
      const before: Omit<ProcessRow, 'stored' | 'change'> = held.row ?? { progressCount: 0 }
      this.replace(id, { ...before, stored, change: await this.nextChange() })
      // One whose end is in the feed already has only been mended.
      const isInFeed = before.seq !== undefined
      if (stored.state.status !== 'running' && held.row?.stored.state.status === 'running' && !isInFeed)
        this.#ended.push(id)
    }
    if (register !== undefined && held.tombstone !== undefined) {
      this.#put(id, { tombstone: undefined })
      this.#unburied.add(id)
    }
    for (const entry of entries) {
      const key = eventKey(id, entry.sequence)
      this.#entries.set(key, entry)
      this.#newEntries.push(key)
      if (entry.replayKey === undefined) continue
      const named = replayKey(id, entry.replayKey)
      this.#sequences.set(named, entry.sequence)
      this.#newSequences.push(named)
    }
    if (lease !== undefined) this.lease(id, lease)
    if (ack !== undefined) await this.#acknowledge(id, ack)
    if (grant === undefined && revoke === undefined) return
    const others = (await this.grantsOf(id)).filter(({ scopeId }) => scopeId !== revoke && scopeId !== grant?.scopeId)
    this.#grant(id, grant === undefined ? others : [...others, grant].toSorted(compareGrants))
  }

  #grant(id: ProcessId, grants: readonly HandleGrant[]): void {
    this.#grants.set(id, grants)
    this.#granted.add(id)
  }

  async #acknowledge(id: ProcessId, sequence: number): Promise<void> {
    const acks = await this.acksOf(id)
    if (acks.includes(sequence)) return
    this.#acks.set(id, [...acks, sequence])
    this.#acked.add(id)
  }

  #put(id: ProcessId, part: Partial<Held>): void {
    this.#held.set(id, { ...(this.#held.get(id) as Held), ...part })
  }

  async #keyed(id: ProcessId, key: string): Promise<LogEntry | undefined> {
    const named = replayKey(id, key)
    const sequence = this.#sequences.get(named) ?? (await this.#ctx.get<number>(named))
    return sequence === null ? undefined : this.#entry(id, sequence)
  }

  async #entry(id: ProcessId, sequence: number): Promise<LogEntry> {
    const key = eventKey(id, sequence)
    return this.#entries.get(key) ?? ((await this.#ctx.get<LogEntry>(key)) as LogEntry)
  }
}

const heldAsks = (ctx: SharedContext, id: ProcessId) =>
  [() => ctx.get<ProcessRow>(rowKey(id)), () => ctx.get<StoredLease>(leaseKey(id))] as const

async function heldOf(
  ctx: SharedContext,
  id: ProcessId,
  row: ProcessRow | null,
  lease: StoredLease | null,
): Promise<Held> {
  const tombstone = row === null ? await ctx.get<TombstoneRow>(tombstoneKey(id)) : null
  return { row: row ?? undefined, tombstone: tombstone ?? undefined, lease: lease ?? undefined }
}

/** The kind of a process. */
export function kindOf({ stored }: ProcessRow): string {
  return stored.registered.identity.kind
}
