import * as restate from '@restatedev/restate-sdk'
import { processChart, type EndMove, type ProcessPlace } from '../../machines/index.js'
import { canonicalText, type JsonValue } from '../base/json.js'
import { ProcessError, type AwaitOutput, type ProcessId, type ProcessStatus } from '../processes/index.js'
import { eventOf, type ProcessEvent } from '../processes/event.js'
import { ordinalKey } from '../processes/keys.js'
import { claimExecution, unstarted, type Execution } from './claim.js'
import { inboxHandlers } from './inbox.js'
import { keyOf } from './keys.js'
import {
  advanceCursor,
  appendToFeed,
  cursorsOf,
  dropFeed,
  readFeed,
  tellWatchers,
  waitForFeed,
  watchRow,
  watermarkOf,
} from './object-feed.js'
import type { RetryPolicy } from './retry.js'
import { processesService, processService } from './services.js'
import {
  appendSchema,
  cancelSchema,
  claimSchema,
  cursorSchema,
  door,
  forgetSchema,
  idSchema,
  progressSchema,
  settleSchema,
  sinceSchema,
  startSchema,
  waitingSchema,
  type Claim,
  type ClaimRequest,
  type FeedPage,
  type ProcessEnd,
  type RunRequest,
  type Settled,
  type StartRequest,
} from './wire.js'

/** One process. */
export interface ProcessRow extends Execution {
  readonly id: ProcessId
  readonly kind: string
  /** What it was registered with: who starts it again must mean the same. */
  readonly registration: string
  readonly invocationId: string
  readonly progressCount: number
  readonly progress?: string
  /** Events that it has emitted. */
  readonly eventCount: number
  /** There once it has ended. */
  readonly end?: { readonly seq: number; readonly output: AwaitOutput }
}

type Context = restate.ObjectContext
type SharedContext = restate.ObjectSharedContext

const moveOf = { success: 'complete', failure: 'fail', cancelled: 'cancel', abandoned: 'abandon' } as const

/**
 * The processes of one owner: the only writer of them and of their feed. The engine runs one handler at a time per owner, and
 * writes what a handler has changed in the same step as its answer: an end and its place in the feed are one change.
 *
 * Each row is a state key of its own and is fetched when it is asked for: a call costs the same whatever else
 * is held.
 */
export function processObject(retryPolicy: RetryPolicy) {
  return restate.object({
    name: processesService,
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
      ...inboxHandlers(async (ctx, id) => void move(await known(ctx, id), { type: 'signal' })),
      waiting: door(waitingSchema, 'wait', waitForFeed),
      forget: door(forgetSchema, 'forget', forget),
      advanceCursor: door(cursorSchema, 'cursor', async (ctx: Context, { consumer, cursor }) =>
        // Never beyond what there is.
        advanceCursor(ctx, consumer, Math.min(cursor, await watermarkOf(ctx))),
      ),
      cursors: restate.handlers.object.shared(cursorsOf),
      since: restate.handlers.object.shared(
        door(sinceSchema, 'page', (ctx: SharedContext, place): Promise<FeedPage> => readFeed<ProcessEnd>(ctx, place)),
      ),
      read: restate.handlers.object.shared(
        door(idSchema, 'id of a process', async (ctx: SharedContext, id) => ctx.get<ProcessRow>(rowKey(id))),
      ),
    },
    options: { enableLazyState: true, retryPolicy },
  })
}

/** What the processes are called by. */
export type ProcessObject = ReturnType<typeof processObject>

async function start(ctx: Context, { notify, ...request }: StartRequest): Promise<{ readonly invocationId: string }> {
  const { id, kind, disposition, maxAttempts } = request
  const registration = canonicalText(request)
  const row = await ctx.get<ProcessRow>(rowKey(id))
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
      else await watchRow(ctx, id, notify)
    }
    return { invocationId: row.invocationId }
  }
  const run: RunRequest = { ...request, owner: ctx.key }
  const invocationId = await ctx.genericSend({
    service: processService,
    method: 'run',
    key: id,
    parameter: run,
    inputSerde: restate.serde.json as restate.Serde<RunRequest>,
  }).invocationId
  const execution = unstarted(disposition, maxAttempts)
  write(ctx, { id, kind, registration, invocationId, ...execution, progressCount: 0, eventCount: 0 })
  if (notify !== undefined) await watchRow(ctx, id, notify)
  return { invocationId }
}

async function claim(ctx: Context, request: ClaimRequest): Promise<Claim> {
  const row = await known(ctx, request.id)
  // Of what has ended no step is begun, whoever asks.
  if (!isRunning(row)) move(row, { type: 'signal' })
  const { claim: taken, held } = await claimExecution(ctx, row, request, (event) => move(row, event))
  if (held !== row) write(ctx, held)
  return taken
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
async function settle(ctx: Context, row: ProcessRow, output: AwaitOutput): Promise<Settled> {
  const { id, kind, end } = row
  if (end !== undefined) return { ...end, isFirst: false }
  const event: EndMove = { type: moveOf[output.type], authority: 'workflow_key' }
  const place = move(row, event)
  const endedAtMs = await ctx.date.now()
  const { seq } = await appendToFeed<ProcessEnd>(ctx, (next) => ({ seq: next, processId: id, kind, output, endedAtMs }))
  write(ctx, { ...row, place, end: { seq, output } })
  await tellWatchers(ctx, id, output)
  return { seq, output, isFirst: true }
}

/** Ends a process before its code has: the end is durable first, then its run is told. */
async function settleAndTell(ctx: Context, row: ProcessRow, output: AwaitOutput): Promise<Settled> {
  const settled = await settle(ctx, row, output)
  if (settled.isFirst) ctx.cancel(restate.InvocationIdParser.fromString(row.invocationId))
  return settled
}

/** Drops the oldest ends and their processes, but none that a consumer of the feed has not passed yet. */
async function forget(ctx: Context, { through }: { readonly through: number }): Promise<number> {
  const last = Math.min(through, ...Object.values(await cursorsOf(ctx)))
  return dropFeed<ProcessEnd>(ctx, last, ({ processId }) => ({ id: processId, rowKey: rowKey(processId) }))
}

/** Where the chart leads; raises what the chart refuses by the code that it has in every store. */
function move(row: ProcessRow, event: Parameters<typeof processChart.select>[1]): ProcessPlace {
  const { id, place, owner } = row
  const selection = processChart.select(place, event)
  if (selection.isTaken) return processChart.follow(place, event, selection)
  if (!isRunning(row)) throw new ProcessError('process.already_terminal', { processId: id, status: statusOf(row) })
  const { maxAttempts } = place.context
  if (selection.guard === 'hasAttemptLeft' && maxAttempts !== undefined)
    throw new ProcessError('process.attempts_exhausted', { processId: id, maxAttempts })
  throw new ProcessError('process.already_started', { processId: id, owner: owner?.incarnationId ?? 'nobody' })
}

async function known(ctx: Context, id: ProcessId): Promise<ProcessRow> {
  const row = await ctx.get<ProcessRow>(rowKey(id))
  if (row === null) throw new ProcessError('process.unknown', { processId: id })
  return row
}

function checkFence(row: ProcessRow, fencingToken: number): ProcessRow {
  if (fencingToken === row.fencingToken) return row
  throw new ProcessError('process.lease_superseded', { processId: row.id, fencingToken })
}

function write(ctx: Context, row: ProcessRow): void {
  ctx.set(rowKey(row.id), row)
}

/** What a process is. */
export function statusOf({ place }: Pick<ProcessRow, 'place'>): ProcessStatus {
  const { lifecycle } = place.value as { readonly lifecycle: ProcessStatus | { readonly running: string } }
  return typeof lifecycle === 'string' ? lifecycle : 'running'
}

function isRunning(row: ProcessRow): boolean {
  return statusOf(row) === 'running'
}

const rowKey = (id: ProcessId): string => `process/${id}`
