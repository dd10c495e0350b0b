import type * as restate from '@restatedev/restate-sdk'
import type { Sequenced } from '../base/feed.js'
import { ownerOfKey } from './keys.js'
import { atOnce } from './at-once.js'

type Context = restate.ObjectContext
type SharedContext = restate.ObjectSharedContext

/** A caller waiting for the feed to grow beyond a position. */
interface Waiter {
  readonly awakeable: string
  readonly after: number
}

/** Rows of a feed after a position, and the state of the feed when they were read. */
export interface FeedRows<Entry> {
  readonly entries: readonly Entry[]
  /** The last position in use. */
  readonly watermark: number
  /** The last position whose row was dropped. 0 if all rows are kept. */
  readonly droppedThrough: number
}

/** The last position in use. */
export async function watermarkOf(ctx: SharedContext): Promise<number> {
  return (await ctx.get<number>('seq')) ?? 0
}

/** The key of the last position whose row was dropped. Absent before the first was. */
export const floorKey = 'floor'

async function droppedThroughOf(ctx: SharedContext): Promise<number> {
  return (await ctx.get<number>(floorKey)) ?? 0
}

/** The rows from one position to another. */
function entriesOf<Entry>(ctx: SharedContext, first: number, last: number): Promise<Entry[]> {
  const places = Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index)
  return atOnce(...places.map((place) => () => ctx.get<Entry>(`feed/${place}`) as Promise<Entry>))
}

/** What ending a row needs to know: the state of the feed, and the callers waiting for it or for the row. */
export interface FeedTail {
  readonly watermark: number
  readonly waiters: readonly Waiter[]
  readonly watchers: readonly string[]
}

/** Reads what ending a row needs to know. */
export async function readTail(ctx: SharedContext, id: string): Promise<FeedTail> {
  return tailOf(...(await atOnce(...tailAsks(ctx, id))))
}

/** The requests whose answers {@link tailOf} takes, for reading a tail together with something else. */
export function tailAsks(ctx: SharedContext, id: string) {
  return [
    () => ctx.get<number>('seq'),
    () => ctx.get<Waiter[]>('waiters'),
    () => ctx.get<string[]>(watchersKey(id)),
  ] as const
}

/** A tail from what was read of it. */
export function tailOf(
  watermark: number | null,
  waiters: readonly Waiter[] | null,
  watchers: readonly string[] | null,
): FeedTail {
  return { watermark: watermark ?? 0, waiters: waiters ?? [], watchers: watchers ?? [] }
}

/**
 * Appends a row at the next position of the feed and wakes its waiters, in the same change as what the row reports
 * (R-1).
 */
export function appendToFeed<Entry extends Sequenced>(
  ctx: Context,
  { watermark, waiters }: FeedTail,
  entryOf: (seq: number) => Entry,
): Entry {
  const entry = entryOf(watermark + 1)
  const { seq } = entry
  ctx.set('seq', seq)
  ctx.set(`feed/${seq}`, entry)
  // Who knows of more than there is goes on waiting: it would be told nothing new.
  const early = waiters.filter(({ after }) => after >= seq)
  for (const { awakeable, after } of waiters) if (after < seq) ctx.resolveAwakeable(awakeable, seq)
  if (early.length > 0) ctx.set('waiters', early)
  else if (waiters.length > 0) ctx.clear('waiters')
  return entry
}

/** Registers a waiter before reading. Calls run one at a time, so no row is missed. */
export async function waitForFeed(
  ctx: Context,
  { awakeable, after: place }: { readonly awakeable: string; readonly after: number },
): Promise<void> {
  const seq = await watermarkOf(ctx)
  // What is gone is nothing to wake for.
  const after = Math.max(place, await droppedThroughOf(ctx))
  if (seq > after) ctx.resolveAwakeable(awakeable, seq)
  else ctx.set('waiters', [...((await ctx.get<Waiter[]>('waiters')) ?? []), { awakeable, after }])
}

/** At most `limit` rows after a position. */
export async function readFeed<Entry extends Sequenced>(
  ctx: SharedContext,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<FeedRows<Entry>> {
  const [seq, floor] = await atOnce(
    () => ctx.get<number>('seq'),
    () => ctx.get<number>(floorKey),
  )
  const watermark = seq ?? 0
  const droppedThrough = floor ?? 0
  const first = Math.max(after, droppedThrough) + 1
  const last = Math.min(watermark, first + limit - 1)
  const entries = await entriesOf<Entry>(ctx, first, last)
  return { watermark, droppedThrough, entries }
}

/** The cursor of each consumer. */
export async function cursorsOf(ctx: SharedContext): Promise<Readonly<Record<string, number>>> {
  return (await ctx.get<Record<string, number>>('cursors')) ?? {}
}

/** Moves a consumer forward, never back. Resolves with its cursor. */
export async function advanceCursor(ctx: Context, consumer: string, cursor: number): Promise<number> {
  const cursors = await cursorsOf(ctx)
  const stood = Object.hasOwn(cursors, consumer) ? cursors[consumer] : undefined
  const advanced = Math.max(stood ?? 0, cursor)
  ctx.set('cursors', { ...cursors, [consumer]: advanced })
  return advanced
}

/** How many rows are dropped at a time. Other calls to the object wait meanwhile. */
const droppedAtOnce = 1000

/**
 * Drops the oldest feed rows with the rows they report and everything that belongs to those. Resolves with the last
 * dropped position. `seqOf` tells at which position a row ended, so that a row registered again under the same id is
 * kept.
 */
export async function dropFeed<Entry extends Sequenced, Row>(
  ctx: Context,
  through: number,
  {
    idOf,
    keyOfRow,
    seqOf,
  }: {
    readonly idOf: (entry: Entry) => string
    readonly keyOfRow: (id: string) => string
    readonly seqOf: (row: Row) => number | undefined
  },
): Promise<number> {
  const floor = await droppedThroughOf(ctx)
  const last = Math.min(through, await watermarkOf(ctx), floor + droppedAtOnce)
  if (last <= floor) return floor
  const dropped = new Set<string>()
  const ids = (await entriesOf<Entry>(ctx, floor + 1, last)).map(idOf)
  const rows = await atOnce(...ids.map((id) => () => ctx.get<Row>(keyOfRow(id))))
  for (const [index, id] of ids.entries()) {
    const place = floor + 1 + index
    ctx.clear(`feed/${place}`)
    const row = rows[index] ?? null
    if (row === null || seqOf(row) !== place) continue
    ctx.clear(keyOfRow(id))
    dropped.add(encodeURIComponent(id))
  }
  for (const key of await ctx.stateKeys()) {
    const owner = ownerOfKey(key)
    if (owner !== undefined && dropped.has(owner)) ctx.clear(key)
  }
  ctx.set(floorKey, last)
  return last
}

const watchersKey = (id: string): string => `watchers/${id}`

/** Adds awakeables to be resolved when their rows have ended, one per row. */
export async function watchRows(
  ctx: Context,
  watches: readonly { readonly id: string; readonly awakeable: string }[],
): Promise<void> {
  const watchers = await atOnce(
    ...watches.map(
      ({ id }) =>
        () =>
          ctx.get<string[]>(watchersKey(id)),
    ),
  )
  for (const [index, { id, awakeable }] of watches.entries())
    ctx.set(watchersKey(id), [...(watchers[index] ?? []), awakeable])
}

/** Resolves the awakeables of a row with its output. */
export function tellWatchers(ctx: Context, id: string, { watchers }: FeedTail, output: unknown): void {
  for (const awakeable of watchers) ctx.resolveAwakeable(awakeable, output)
  if (watchers.length > 0) ctx.clear(watchersKey(id))
}
