import * as restate from '@restatedev/restate-sdk'
import { processChart, type EndMove, type ProcessContext, type ProcessPlace } from '../../machines/index.js'
import { canonicalText, type JsonValue } from '../base/json.js'
import {
  ProcessError,
  type AwaitOutput,
  type LeaseOwner,
  type ProcessId,
  type ProcessStatus,
} from '../processes/index.js'
import { eventOf, type ProcessEvent } from '../processes/event.js'
import { ordinalKey } from '../processes/keys.js'
import type { RetryPolicy } from './retry.js'
import {
  appendSchema,
  askSchema,
  cancelSchema,
  claimSchema,
  cursorSchema,
  door,
  forgetSchema,
  idSchema,
  progressSchema,
  settleSchema,
  signalSchema,
  sinceSchema,
  startSchema,
  waitingSchema,
  type Answer,
  type Claim,
  type ClaimRequest,
  type FeedPage,
  type RunRequest,
  type SessionEnd,
  type Settled,
  type StartRequest,
} from './wire.js'

/** One process of a session. */
export interface SessionRow {
  readonly id: ProcessId
  readonly kind: string
  readonly place: ProcessPlace
  /** What it was registered with: who starts it again must mean the same. */
  readonly registration: string
  readonly invocationId: string
  readonly fencingToken: number
  readonly owner?: LeaseOwner
  /** True when its token was claimed by somebody who is not a run of it. */
  readonly isOutside?: true
  readonly progressCount: number
  readonly progress?: string
  /** Events that it has emitted. */
  readonly eventCount: number
  /** There once it has ended. */
  readonly end?: { readonly seq: number; readonly output: AwaitOutput }
}

/** Who waits for the feed to grow, and from where. */
interface Waiter {
  readonly awakeable: string
  readonly after: number
}

/** The signals of one name, and who waits for them. */
interface Inbox {
  readonly count: number
  readonly taken: number
  readonly waiting: readonly string[]
}

type Context = restate.ObjectContext
type SharedContext = restate.ObjectSharedContext

/** The name under which the workflow of processes is served. */
export const processService = 'stateward_process'
/** The name under which sessions are served. */
export const sessionService = 'stateward_session'

const moveOf = { success: 'complete', failure: 'fail', cancelled: 'cancel', abandoned: 'abandon' } as const

/**
 * One session: the only writer of its processes and of its feed. The engine runs one handler at a time per session, and
 * writes what a handler has changed in the same step as its answer: an end and its place in the feed are one change.
 *
 * Each row is a state key of its own and is fetched when it is asked for: a call costs the same whatever the session
 * holds.
 */
export function sessionObject(retryPolicy: RetryPolicy) {
  return restate.object({
    name: sessionService,
    handlers: {
      /** Registers a process and starts it; again under the same id it changes nothing. */
      start: door(startSchema, 'start', start),
      claim: door(claimSchema, 'claim', claim),
      progress: door(progressSchema, 'progress', async (ctx: Context, { id, fencingToken, message }) => {
        const row = checkFence(await known(ctx, id), fencingToken)
        const place = move(row, { type: 'append' })
        const progressCount = row.progressCount + 1
        write(ctx, { ...row, place, progressCount, ...(message !== undefined && { progress: message }) })
        return { progressCount }
      }),
      /** Ends a process from outside of its run, which is told. */
      settle: door(settleSchema, 'end', async (ctx: Context, { id, output, fencingToken }) => {
        const row = await known(ctx, id)
        if (row.end === undefined && fencingToken !== undefined) checkFence(row, fencingToken)
        return settleAndTell(ctx, row, output)
      }),
      /**
       * What its own run has come to. The engine lets one attempt say so, and a claim of another attempt that comes late takes
       * nothing from it; that of somebody outside does.
       */
      end: door(settleSchema, 'end', async (ctx: Context, { id, output, fencingToken }) => {
        const row = await known(ctx, id)
        if (row.end === undefined && row.isOutside && fencingToken !== undefined) checkFence(row, fencingToken)
        return settle(ctx, row, output)
      }),
      cancel: door(cancelSchema, 'cancel', async (ctx: Context, { id, message = 'cancelled' }) => {
        return settleAndTell(ctx, await known(ctx, id), { type: 'cancelled', message })
      }),
      append: door(appendSchema, 'event', append),
      /** The next signal of a name, now or later; the nth who asks is given the nth that came. */
      ask: door(askSchema, 'question', async (ctx: Context, { id, name, awakeable }) => {
        const key = inboxKey(id, name)
        const inbox = await inboxOf(ctx, key)
        if (inbox.taken === inbox.count) {
          ctx.set(key, { ...inbox, waiting: [...inbox.waiting, awakeable] })
          return
        }
        const taken = inbox.taken + 1
        ctx.resolveAwakeable(awakeable, await ctx.get<Answer>(`${key}/${taken}`))
        ctx.clear(`${key}/${taken}`)
        ctx.set(key, { ...inbox, taken })
      }),
      /** Takes a question back; false when it was answered in the meantime. */
      withdraw: door(askSchema, 'question', async (ctx: Context, { id, name, awakeable }) => {
        const key = inboxKey(id, name)
        const inbox = await inboxOf(ctx, key)
        const waiting = inbox.waiting.filter((one) => one !== awakeable)
        if (waiting.length === inbox.waiting.length) return false
        ctx.set(key, { ...inbox, waiting })
        return true
      }),
      signal: door(signalSchema, 'signal', async (ctx: Context, { id, name, payload }) => {
        move(await known(ctx, id), { type: 'signal' })
        const key = inboxKey(id, name)
        const inbox = await inboxOf(ctx, key)
        const answer: Answer = payload === undefined ? {} : { value: payload }
        const [first, ...waiting] = inbox.waiting
        if (first === undefined) {
          ctx.set(`${key}/${inbox.count + 1}`, answer)
          ctx.set(key, { ...inbox, count: inbox.count + 1 })
        } else {
          ctx.resolveAwakeable(first, answer)
          ctx.set(key, { count: inbox.count + 1, taken: inbox.taken + 1, waiting })
        }
      }),
      /** Registers before it reads: one call at a time, so nothing slips in between. */
      waiting: door(waitingSchema, 'wait', async (ctx: Context, { awakeable, after: place }) => {
        const seq = (await ctx.get<number>('seq')) ?? 0
        // What is forgotten is nothing to wake for.
        const after = Math.max(place, (await ctx.get<number>('floor')) ?? 0)
        if (seq > after) ctx.resolveAwakeable(awakeable, seq)
        else ctx.set('waiters', [...((await ctx.get<Waiter[]>('waiters')) ?? []), { awakeable, after }])
      }),
      forget: door(forgetSchema, 'forget', forget),
      advanceCursor: door(cursorSchema, 'cursor', async (ctx: Context, { consumer, cursor }) => {
        const cursors = (await ctx.get<Record<string, number>>('cursors')) ?? {}
        const seq = (await ctx.get<number>('seq')) ?? 0
        // Never backwards, and never beyond what there is.
        const stood = Object.hasOwn(cursors, consumer) ? cursors[consumer] : undefined
        const advanced = Math.max(stood ?? 0, Math.min(cursor, seq))
        ctx.set('cursors', { ...cursors, [consumer]: advanced })
        return advanced
      }),
      cursors: restate.handlers.object.shared(
        async (ctx: SharedContext): Promise<Record<string, number>> => (await ctx.get('cursors')) ?? {},
      ),
      since: restate.handlers.object.shared(
        door(sinceSchema, 'page', async (ctx: SharedContext, { after, limit }): Promise<FeedPage> => {
          const watermark = (await ctx.get<number>('seq')) ?? 0
          const entries: SessionEnd[] = []
          const floor = (await ctx.get<number>('floor')) ?? 0
          for (
            let seq = Math.max(after, floor) + 1;
            seq <= Math.min(watermark, Math.max(after, floor) + limit);
            seq += 1
          )
            entries.push((await ctx.get<SessionEnd>(`feed/${seq}`)) as SessionEnd)
          return { watermark, entries }
        }),
      ),
      read: restate.handlers.object.shared(
        door(idSchema, 'id of a process', async (ctx: SharedContext, id) => ctx.get<SessionRow>(rowKey(id))),
      ),
    },
    options: { enableLazyState: true, retryPolicy },
  })
}

/** What the session of this worker is called by. */
export type SessionObject = ReturnType<typeof sessionObject>

async function start(ctx: Context, { notify, ...request }: StartRequest): Promise<{ readonly invocationId: string }> {
  const { id, kind, disposition, maxAttempts } = request
  const registration = canonicalText(request)
  const row = await ctx.get<SessionRow>(rowKey(id))
  if (row !== null) {
    if (row.registration !== registration) {
      const conflict = new ProcessError('process.registration_conflict', {
        processId: id,
        stored: row.registration,
        provided: registration,
      })
      if (notify !== undefined) ctx.rejectAwakeable(notify, conflict.message)
      throw conflict
    }
    if (notify !== undefined) {
      if (row.end !== undefined) ctx.resolveAwakeable(notify, row.end.output)
      else ctx.set(watchersKey(id), [...((await ctx.get<string[]>(watchersKey(id))) ?? []), notify])
    }
    return { invocationId: row.invocationId }
  }
  const run: RunRequest = { ...request, session: ctx.key }
  const invocationId = await ctx.genericSend({
    service: processService,
    method: 'run',
    key: id,
    parameter: run,
    inputSerde: restate.serde.json as restate.Serde<RunRequest>,
  }).invocationId
  const context = {
    disposition,
    ...(maxAttempts !== undefined && { maxAttempts }),
    hasExternalRef: false,
    hasAbandonRequest: false,
  } as ProcessContext
  const place: ProcessPlace = { value: { lifecycle: { running: 'active' }, execution: 'unstarted' }, context }
  write(ctx, { id, kind, place, registration, invocationId, fencingToken: 0, progressCount: 0, eventCount: 0 })
  if (notify !== undefined) ctx.set(watchersKey(id), [notify])
  return { invocationId }
}

/** A token that only grows, one for each attempt that comes to do something; what may not start again is refused. */
async function claim(ctx: Context, { id, owner, step, isOutside }: ClaimRequest): Promise<Claim> {
  const row = await known(ctx, id)
  const { place } = row
  const { disposition, start: started } = place.context
  const begunKey = keyOf('begun', id, step)
  if (disposition === 'owner_bound' && started !== undefined) {
    // Its owner goes on to its next step; nobody, itself included, begins one twice.
    const isOwner = row.owner !== undefined && isSame(row.owner, owner)
    if (isOwner && isRunning(row) && (await ctx.get(begunKey)) === null) {
      ctx.set(begunKey, true)
      return started
    }
  }
  const fencingToken = row.fencingToken + 1
  const moved = move(row, { type: 'start', fencingToken })
  if (disposition === 'owner_bound') ctx.set(begunKey, true)
  const { isOutside: _, ...held } = row
  write(ctx, { ...held, place: moved, fencingToken, owner, ...(isOutside && { isOutside }) })
  return { fencingToken, attempt: moved.context.start?.attempt ?? 1 }
}

async function append(
  ctx: Context,
  { id, eventType, payload, ordinal }: { id: ProcessId; eventType: string; payload: JsonValue; ordinal: number },
): Promise<ProcessEvent> {
  const row = await known(ctx, id)
  const key = ordinalKey(id, ordinal)
  const eventKey = keyOf('event', id, ordinal)
  const there = await ctx.get<ProcessEvent>(eventKey)
  if (there !== null) {
    if (there.eventType === eventType && canonicalText(there.payload) === canonicalText(payload)) return there
    throw new ProcessError('process.replay_conflict', { processId: id, key })
  }
  const place = move(row, { type: 'append' })
  const sequence = row.eventCount + 1
  const event = eventOf(id, { sequence, eventType, payload, replayKey: key, occurredAtMs: await ctx.date.now() })
  ctx.set(eventKey, event)
  write(ctx, { ...row, place, eventCount: sequence })
  return event
}

/** The end of a process: its row, its place in the feed and whoever waits, in one change. A second end changes nothing. */
async function settle(ctx: Context, row: SessionRow, output: AwaitOutput): Promise<Settled> {
  const { id, kind, end } = row
  if (end !== undefined) return { ...end, isFirst: false }
  const event: EndMove = { type: moveOf[output.type], authority: 'workflow_key' }
  const place = move(row, event)
  const seq = ((await ctx.get<number>('seq')) ?? 0) + 1
  const entry: SessionEnd = { seq, processId: id, kind, output, endedAtMs: await ctx.date.now() }
  const waiters = (await ctx.get<Waiter[]>('waiters')) ?? []
  const watchers = (await ctx.get<string[]>(watchersKey(id))) ?? []
  write(ctx, { ...row, place, end: { seq, output } })
  ctx.set('seq', seq)
  ctx.set(`feed/${seq}`, entry)
  // Who knows of more than there is goes on waiting: it would be told nothing new.
  const early = waiters.filter(({ after }) => after >= seq)
  for (const { awakeable, after } of waiters) if (after < seq) ctx.resolveAwakeable(awakeable, seq)
  for (const awakeable of watchers) ctx.resolveAwakeable(awakeable, output)
  if (early.length > 0) ctx.set('waiters', early)
  else if (waiters.length > 0) ctx.clear('waiters')
  if (watchers.length > 0) ctx.clear(watchersKey(id))
  return { seq, output, isFirst: true }
}

/** Ends a process before its code has: the end is durable first, then its run is told. */
async function settleAndTell(ctx: Context, row: SessionRow, output: AwaitOutput): Promise<Settled> {
  const settled = await settle(ctx, row, output)
  if (settled.isFirst) ctx.cancel(restate.InvocationIdParser.fromString(row.invocationId))
  return settled
}

/** How many ends are forgotten at a time: whoever else calls the session waits meanwhile. */
const forgottenAtOnce = 1000

/** Drops the oldest ends and their processes, but none that a consumer of the feed has not passed yet. */
async function forget(ctx: Context, { through }: { readonly through: number }): Promise<number> {
  const floor = (await ctx.get<number>('floor')) ?? 0
  const seq = (await ctx.get<number>('seq')) ?? 0
  const cursors = (await ctx.get<Record<string, number>>('cursors')) ?? {}
  const last = Math.min(through, seq, floor + forgottenAtOnce, ...Object.values(cursors))
  if (last <= floor) return floor
  const forgotten = new Set<string>()
  for (let place = floor + 1; place <= last; place += 1) {
    const { processId } = (await ctx.get<SessionEnd>(`feed/${place}`)) as SessionEnd
    forgotten.add(encodeURIComponent(processId))
    ctx.clear(`feed/${place}`)
    ctx.clear(rowKey(processId))
  }
  for (const key of await ctx.stateKeys()) {
    const [what = '', id = ''] = key.split('/')
    if (belongings.has(what) && forgotten.has(id)) ctx.clear(key)
  }
  ctx.set('floor', last)
  return last
}

/** Where the chart leads; raises what the chart refuses by the code that it has in every store. */
function move(row: SessionRow, event: Parameters<typeof processChart.select>[1]): ProcessPlace {
  const { id, place, owner } = row
  const selection = processChart.select(place, event)
  if (selection.isTaken) return processChart.follow(place, event, selection)
  if (!isRunning(row)) throw new ProcessError('process.already_terminal', { processId: id, status: statusOf(row) })
  const { maxAttempts } = place.context
  if (selection.guard === 'hasAttemptLeft' && maxAttempts !== undefined)
    throw new ProcessError('process.attempts_exhausted', { processId: id, maxAttempts })
  throw new ProcessError('process.already_started', { processId: id, owner: owner?.incarnationId ?? 'nobody' })
}

async function known(ctx: Context, id: ProcessId): Promise<SessionRow> {
  const row = await ctx.get<SessionRow>(rowKey(id))
  if (row === null) throw new ProcessError('process.unknown', { processId: id })
  return row
}

function checkFence(row: SessionRow, fencingToken: number): SessionRow {
  if (fencingToken === row.fencingToken) return row
  throw new ProcessError('process.lease_superseded', { processId: row.id, fencingToken })
}

function write(ctx: Context, row: SessionRow): void {
  ctx.set(rowKey(row.id), row)
}

/** What a process of a session is. */
export function statusOf({ place }: Pick<SessionRow, 'place'>): ProcessStatus {
  const { lifecycle } = place.value as { readonly lifecycle: ProcessStatus | { readonly running: string } }
  return typeof lifecycle === 'string' ? lifecycle : 'running'
}

function isRunning(row: SessionRow): boolean {
  return statusOf(row) === 'running'
}

function isSame(one: LeaseOwner, other: LeaseOwner): boolean {
  return one.ownerId === other.ownerId && one.incarnationId === other.incarnationId
}

async function inboxOf(ctx: Context, key: string): Promise<Inbox> {
  return (await ctx.get<Inbox>(key)) ?? { count: 0, taken: 0, waiting: [] }
}

/** What a process leaves besides its row. */
const belongings: ReadonlySet<string> = new Set(['begun', 'event', 'signal'])

/** No id holds a slash here, so that no two things have one key. */
const keyOf = (what: string, id: ProcessId, part: string | number): string =>
  `${what}/${encodeURIComponent(id)}/${part}`
const rowKey = (id: ProcessId): string => `process/${id}`
const watchersKey = (id: ProcessId): string => `watchers/${id}`
const inboxKey = (id: ProcessId, name: string): string => keyOf('signal', id, encodeURIComponent(name))
