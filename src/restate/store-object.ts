import * as restate from '@restatedev/restate-sdk'
import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import type { ProcessCommand } from '../processes/command.js'
import { ProcessError } from '../processes/errors.js'
import { doesWake, eventOf, wakeDeliveryOf, type LogEntry, type ProcessEvent } from '../processes/event.js'
import { compareText, type GrantEntry, type HandleGrant, type SessionDeleteReport } from '../processes/grant.js'
import { leaseOf, type ProcessLease } from '../processes/lease.js'
import { stepOf } from '../processes/lifecycle.js'
import { matches, takeFilter, type ProcessListFilter } from '../processes/list-filter.js'
import {
  isPrunable,
  takeCompaction,
  takePrune,
  tombstoneOf,
  type ChangeCursor,
  type ChangePage,
  type ProcessChange,
  type PruneOptions,
  type PruneReport,
  type Watermark,
} from '../processes/pruning.js'
import { recordOf, workableFromMs, type ProcessRecord } from '../processes/record.js'
import { takeBound, takeId, takeName, takeSequence, type ProcessId } from '../processes/scalars.js'
import { scopeIdOf, type SessionScope } from '../processes/scope.js'
import type {
  DurabilityTier,
  PendingWake,
  ProcessStore,
  StepResult,
  TerminalState,
  WakePosition,
  WorkCursor,
  WorkPage,
} from '../processes/store.js'
import { takeScope, TransactingStore } from '../processes/transacting-store.js'
import { ownerOfKey } from './keys.js'
import { rowKey, tombstoneKey, type ProcessBook, type ProcessRow, type TombstoneRow } from './process-book.js'
import { door } from './wire.js'
import { atOnce } from './at-once.js'

type Context = restate.ObjectContext
type SharedContext = restate.ObjectSharedContext

/** The methods of a process store that change something. */
export const changingVerbs = [
  'registerProcess',
  'setExternalRef',
  'grantHandle',
  'revokeHandle',
  'transferHandleGrants',
  'deleteSessionProcessState',
  'appendEvent',
  'ackWake',
  'completeProcess',
  'completeWithLease',
  'recordFirstStarted',
  'claimAndStart',
  'recordStep',
  'recordAdoption',
  'requestAbandon',
  'setWait',
  'clearWait',
  'claimLease',
  'reclaimLease',
  'renewLease',
  'renewLeases',
  'completeLease',
  'pruneTerminal',
  'compactTombstones',
] as const satisfies readonly (keyof ProcessStore)[]

/** The methods of a process store that only read. */
export const readingVerbs = [
  'listHandleGrants',
  'listLiveHandleGrants',
  'hasHandleGrant',
  'handleGrantsForProcess',
  'eventsAfter',
  'firstEventAfter',
  'countEventsThrough',
  'recentEvents',
  'wakeEventsAfter',
  'pendingWakes',
  'recordedSteps',
  'getProcess',
  'getTerminal',
  'listProcesses',
  'listNonTerminal',
  'listWork',
  'nextWorkAtMs',
  'processesChangedSince',
  'getLease',
] as const satisfies readonly (keyof ProcessStore)[]

/** A store method with its arguments as sent to the object. Omitted arguments end the list. */
export interface StoreCall<Verb extends string = string> {
  readonly verb: Verb
  readonly args: readonly unknown[]
  /** True if the caller knows that the holder of the lease it wants is dead. */
  readonly isHolderDead?: true
}

/** The answer of a method. Empty if it returns nothing. */
export interface StoreAnswer {
  readonly value?: unknown
}

const callSchema = <Verb extends string>(verbs: readonly Verb[]): v.GenericSchema<unknown, StoreCall<Verb>> =>
  strictSchema({
    verb: v.picklist(verbs),
    // Judged by the doors of the room, whose refusals name the field.
    args: v.array(v.unknown()),
    isHolderDead: v.exactOptional(v.literal(true)),
  }) as never

/** The handlers that make the processes of an owner available as a store. */
export function storeHandlers(
  open: (ctx: SharedContext) => Promise<ProcessBook>,
  look: (ctx: SharedContext) => ProcessBook,
  tell: (ctx: Context, ended: readonly ProcessRow[]) => void,
) {
  const answer = async (store: ObjectStore, { verb, args }: StoreCall): Promise<StoreAnswer> => {
    const method = store[verb as keyof ObjectStore] as (...given: unknown[]) => Promise<unknown>
    const value = await method.apply(store, argumentsOf(verb, args))
    return value === undefined ? {} : { value }
  }
  return {
    change: door(callSchema(changingVerbs), 'change', async (ctx: Context, call) => {
      const book = await open(ctx)
      const store = new ObjectStore(ctx, book, call.isHolderDead === true)
      try {
        const answered = await answer(store, call)
        tell(ctx, await book.write(ctx))
        return answered
      } catch (refusal) {
        // What used up its attempts has ended by being refused.
        if (store.isRefusalDurable) tell(ctx, await book.write(ctx))
        throw refusal
      }
    }),
    look: restate.handlers.object.shared(
      door(callSchema(readingVerbs), 'question', async (ctx: SharedContext, call) =>
        answer(new ObjectStore(ctx, look(ctx), false), call),
      ),
    ),
  }
}

/** The arguments as the method expects them: restores `undefined` and sets. */
function argumentsOf(verb: string, args: readonly unknown[]): unknown[] {
  const given = args.map((arg) => arg ?? undefined)
  if (verb === 'listWork' && given[2] !== undefined) given[2] = new Set(given[2] as readonly unknown[])
  return given
}

/**
 * The processes of an owner as a process store, within one call to their object. Reads of one process fetch only what
 * they need. Lists, scans and pruning read everything that the owner has.
 */
class ObjectStore extends TransactingStore {
  readonly name = 'restate'
  readonly writers = 'many'
  /** True if the decision must be written although the call is refused. */
  isRefusalDurable = false
  readonly #ctx: SharedContext
  readonly #book: ProcessBook

  constructor(ctx: SharedContext, book: ProcessBook, isDead: boolean) {
    super(() => isDead)
    this.#ctx = ctx
    this.#book = book
  }

  durabilityTier(): DurabilityTier {
    return 'durable'
  }

  protected async run<Result>(command: ProcessCommand<Result>): Promise<Result> {
    const { result, refusal } = await this.#book.decide(command)
    if (refusal === undefined) return result
    this.isRefusalDurable = true
    throw refusal
  }

  protected async runAll<Result>(commands: readonly ProcessCommand<Result>[]): Promise<readonly Result[]> {
    const results: Result[] = []
    for (const command of commands) results.push(await this.run(command))
    return results
  }

  listHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]> {
    return this.#grantsOf(scope, () => true)
  }

  listLiveHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]> {
    return this.#grantsOf(scope, ({ stored }) => stored.state.status === 'running')
  }

  async hasHandleGrant(scope: SessionScope, processId: ProcessId): Promise<boolean> {
    const scopeId = scopeIdOf(takeScope(scope))
    return (await this.#book.grantsOf(takeId(processId))).some((grant) => grant.scopeId === scopeId)
  }

  async handleGrantsForProcess(processId: ProcessId): Promise<readonly HandleGrant[]> {
    await this.#book.known(takeId(processId))
    return this.#book.grantsOf(processId)
  }

  async deleteSessionProcessState(sessionId: string): Promise<SessionDeleteReport> {
    const id = takeId(sessionId, 'session id')
    const orphanedProcessIds: ProcessId[] = []
    const preservedProcessIds: ProcessId[] = []
    let revokedHandleCount = 0
    for (const row of await this.#rows()) {
      const processId = idOf(row)
      const grants = await this.#book.grantsOf(processId)
      const revoked = grants.filter((grant) => grant.sessionId === id).length
      revokedHandleCount += revoked
      if (revoked > 0 && row.stored.state.status === 'running') {
        if (revoked === grants.length) orphanedProcessIds.push(processId)
        else preservedProcessIds.push(processId)
      }
      await this.#book.detach(processId, id)
    }
    return { sessionId: id, revokedHandleCount, deletedWakeCount: 0, orphanedProcessIds, preservedProcessIds }
  }

  async eventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]> {
    const after = takeSequence(cursor, 'cursor')
    return (await this.#book.logAfter(takeId(processId), after)).map((entry) => eventOf(processId, entry))
  }

  async firstEventAfter(processId: ProcessId, eventType: string, cursor: number): Promise<ProcessEvent | undefined> {
    const [type, after] = [takeName(eventType, 'event type'), takeSequence(cursor, 'cursor')]
    const entries = await this.#book.logAfter(takeId(processId), after)
    const entry = entries.find((one) => one.eventType === type)
    return entry && eventOf(processId, entry)
  }

  async countEventsThrough(processId: ProcessId, eventType: string, upTo: number): Promise<number> {
    const [type, bound] = [takeName(eventType, 'event type'), takeBound(upTo, 'bound')]
    const entries = await this.#book.logAfter(takeId(processId), 0)
    return entries.filter((entry) => entry.eventType === type && entry.sequence <= bound).length
  }

  async recentEvents(processId: ProcessId, limit: number): Promise<readonly ProcessEvent[]> {
    const most = takeBound(limit, 'limit')
    const { row } = await this.#book.known(takeId(processId))
    const entries = await this.#book.logAfter(processId, Math.max(0, row.stored.state.lastSequence - most))
    return entries.map((entry) => eventOf(processId, entry))
  }

  async wakeEventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]> {
    const after = takeSequence(cursor, 'cursor')
    await this.#book.known(takeId(processId))
    const acks = await this.#book.acksOf(processId)
    const entries = await this.#book.logAfter(processId, after)
    return entries
      .filter(({ semantics, sequence }) => semantics?.wake !== undefined && !acks.includes(sequence))
      .map((entry) => eventOf(processId, entry))
  }

  async pendingWakes(limit: number, after?: WakePosition): Promise<readonly PendingWake[]> {
    const most = takeBound(limit, 'limit')
    const from = {
      processId: takeId(after?.processId ?? '-'),
      sequence: takeSequence(after?.sequence ?? 0, 'sequence'),
    }
    const isBehind = (id: ProcessId, sequence: number): boolean =>
      after === undefined || id > from.processId || (id === from.processId && sequence > from.sequence)
    const wakes: PendingWake[] = []
    for (const row of await this.#rows()) {
      const { registered, wakeTarget } = row.stored
      const { causedBy } = registered.provenance
      const source = { ...(wakeTarget !== undefined && { wakeTarget }), ...(causedBy !== undefined && { causedBy }) }
      for (const entry of await this.#waking(row)) {
        if (wakes.length >= most) return wakes
        if (!isBehind(registered.id, entry.sequence)) continue
        const event = eventOf(registered.id, entry)
        const delivery = wakeDeliveryOf(event, source)
        if (delivery !== undefined) wakes.push({ event, delivery })
      }
    }
    return wakes
  }

  async recordedSteps(processId: ProcessId): Promise<readonly StepResult[]> {
    const entries = await this.#book.logAfter(takeId(processId), 0)
    return entries.filter(({ eventType }) => eventType === 'process.step').map(stepOf)
  }

  async getProcess(processId: ProcessId): Promise<ProcessRecord | undefined> {
    const { row } = await this.#book.fetch(takeId(processId))
    return row && recordOf(row.stored)
  }

  async getTerminal(processId: ProcessId): Promise<TerminalState> {
    const { row, tombstone } = await this.#book.fetch(takeId(processId))
    if (row === undefined) {
      if (tombstone === undefined) return { state: 'unknown' }
      const { terminalLabel, prunedAtMs } = tombstone.tombstone
      return { state: 'pruned', terminalLabel, prunedAtMs }
    }
    const { status, outcome } = row.stored.state
    if (status === 'running' || outcome === undefined) return { state: 'running' }
    return { state: 'ended', status, output: outcome }
  }

  async listProcesses(filter: ProcessListFilter = {}): Promise<readonly ProcessRecord[]> {
    const taken = takeFilter(filter)
    return (await this.#rows()).filter(({ stored }) => matches(taken, stored)).map(({ stored }) => recordOf(stored))
  }

  listNonTerminal(): Promise<readonly ProcessRecord[]> {
    return this.listProcesses({ status: 'running' })
  }

  async listWork(limit: number, cursor?: WorkCursor, except?: ReadonlySet<ProcessId>): Promise<WorkPage> {
    const most = Math.max(1, takeBound(limit, 'limit'))
    const rows = await this.#rows()
    const live = rows.filter(({ stored }) => stored.state.status === 'running')
    const scan =
      cursor === undefined ? { through: live.at(-1) && idOf(live.at(-1) as ProcessRow), after: '' } : workOf(cursor)
    const { through = '', after } = scan
    const records: ProcessRecord[] = []
    for (const row of live) {
      const id = idOf(row)
      if (id <= after || id > through || except?.has(id) === true) continue
      if ((workableFromMs(row.stored.state) ?? Infinity) > this.#book.nowMs) continue
      if (records.length === most) return { records, next: `${mark}${JSON.stringify([through, records.at(-1)?.id])}` }
      records.push(recordOf(row.stored))
    }
    return { records }
  }

  async nextWorkAtMs(): Promise<number | undefined> {
    const times = (await this.#rows()).flatMap(({ stored }) => workableFromMs(stored.state) ?? [])
    const later = times.filter((at) => at > this.#book.nowMs)
    return later.length === 0 ? undefined : Math.min(...later)
  }

  async processesChangedSince(cursor: ChangeCursor, limit: number): Promise<ChangePage> {
    const most = Math.max(1, takeBound(limit, 'limit'))
    const since = await this.#changeIn(cursor)
    const rows = (await this.#rows()).map(({ stored, change }): readonly [number, ProcessChange] => [
      change,
      { type: 'record', record: recordOf(stored) },
    ])
    const pruned = (await this.#tombstones()).map(({ tombstone, change }): readonly [number, ProcessChange] => [
      change,
      { type: 'pruned', tombstone },
    ])
    const changes = [...rows, ...pruned].filter(([change]) => change > since).toSorted(([one], [other]) => one - other)
    const page = changes.slice(0, most)
    return [page.map(([, change]) => change), `${mark}${page.at(-1)?.[0] ?? since}`]
  }

  async getLease(processId: ProcessId): Promise<ProcessLease | undefined> {
    return leaseOf(takeId(processId), (await this.#book.fetch(processId)).lease)
  }

  async pruneTerminal(cutoffMs: number, options: PruneOptions): Promise<PruneReport> {
    const taken = takePrune(cutoffMs, options)
    const readThrough = await this.#readThrough(taken.watermark)
    const pruned = new Set<string>()
    let prunedEvents = 0
    const ctx = this.#ctx as Context
    for (const row of await this.#rows()) {
      const id = idOf(row)
      if (taken.ids !== undefined && !taken.ids.includes(id)) continue
      const facts = { isRead: row.change <= readThrough, hasPendingWakes: (await this.#waking(row)).length > 0 }
      if (!isPrunable(row.stored, taken, facts)) continue
      pruned.add(encodeURIComponent(id))
      prunedEvents += row.stored.state.lastSequence
      const tombstone = tombstoneOf(row.stored, this.#book.nowMs)
      ctx.clear(rowKey(id))
      ctx.set(tombstoneKey(id), { tombstone, change: await this.#book.nextChange() })
    }
    if (pruned.size > 0) await clearBelongings(ctx, pruned)
    return { prunedProcesses: pruned.size, prunedEvents }
  }

  async compactTombstones(cutoffMs: number, options: Omit<PruneOptions, 'filter'>): Promise<number> {
    const cutoff = takeBound(cutoffMs, 'tombstone cutoff')
    const { ids, watermark } = takeCompaction(options)
    const readThrough = await this.#readThrough(watermark)
    const gone = (await this.#tombstones()).filter(
      ({ tombstone: { processId, prunedAtMs }, change }) =>
        (ids === undefined || ids.includes(processId)) && prunedAtMs < cutoff && change <= readThrough,
    )
    for (const { tombstone } of gone) (this.#ctx as Context).clear(tombstoneKey(tombstone.processId))
    return gone.length
  }

  async #grantsOf(scope: SessionScope, isAsked: (row: ProcessRow) => boolean): Promise<readonly GrantEntry[]> {
    const scopeId = scopeIdOf(takeScope(scope))
    const entries: GrantEntry[] = []
    for (const row of await this.#rows()) {
      const grant = (await this.#book.grantsOf(idOf(row))).find((one) => one.scopeId === scopeId)
      if (grant !== undefined && isAsked(row)) entries.push([grant, recordOf(row.stored)])
    }
    return entries
  }

  /** Events of a process with unacknowledged wakes. */
  async #waking({ stored }: ProcessRow): Promise<readonly LogEntry[]> {
    const acks = await this.#book.acksOf(stored.registered.id)
    const entries = await this.#book.logAfter(stored.registered.id, 0)
    return entries.filter((entry) => doesWake(entry, stored.wakeTarget) && !acks.includes(entry.sequence))
  }

  /** Every process, by id. */
  async #rows(): Promise<readonly ProcessRow[]> {
    return (await this.#all<ProcessRow>(rowKey(''))).toSorted((one, other) => compareText(idOf(one), idOf(other)))
  }

  #tombstones(): Promise<readonly TombstoneRow[]> {
    return this.#all<TombstoneRow>(tombstoneKey(''))
  }

  async #all<Row>(prefix: string): Promise<readonly Row[]> {
    const keys = (await this.#ctx.stateKeys()).filter((key) => key.startsWith(prefix))
    return (await atOnce(...keys.map((key) => () => this.#ctx.get<Row>(key)))).filter((row) => row !== null)
  }

  async #readThrough(watermark: Watermark): Promise<number> {
    return watermark.type === 'no_projector' ? Number.MAX_SAFE_INTEGER : this.#changeIn(watermark.cursor)
  }

  /** The change number of a cursor. Raises `process.cursor_invalid`. */
  async #changeIn(cursor: unknown): Promise<number> {
    if (cursor === '') return 0
    const digits = typeof cursor === 'string' ? /^restate:(\d{1,16})$/.exec(cursor)?.[1] : undefined
    const change = digits === undefined ? Number.NaN : Number(digits)
    if (change <= (await this.#book.changes())) return change
    throw new ProcessError('process.cursor_invalid', { cursor: String(cursor) })
  }
}

const mark = 'restate:'

function workOf(cursor: unknown): { readonly through: ProcessId; readonly after: ProcessId } {
  try {
    const text = typeof cursor === 'string' && cursor.startsWith(mark) ? cursor.slice(mark.length) : ''
    const [through, after] = v.parse(v.strictTuple([v.string(), v.string()]), JSON.parse(text))
    return { through, after }
  } catch (cause) {
    throw new ProcessError('process.cursor_invalid', { cursor: String(cursor) }, { cause })
  }
}

function idOf({ stored }: ProcessRow): ProcessId {
  return stored.registered.id
}

async function clearBelongings(ctx: Context, encoded: ReadonlySet<string>): Promise<void> {
  for (const key of await ctx.stateKeys()) {
    const owner = ownerOfKey(key)
    if (owner !== undefined && encoded.has(owner)) ctx.clear(key)
  }
}
