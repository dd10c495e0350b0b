import * as restate from '@restatedev/restate-sdk'
import type { Clock } from '../base/clock.js'
import { ProcessError, type AwaitOutput, type ProcessId } from '../processes/index.js'
import { appendCommand } from '../processes/append.js'
import { placeOf, select } from '../processes/command.js'
import { completeCommand } from '../processes/completion.js'
import type { ProcessEvent } from '../processes/event.js'
import { ordinalKey } from '../processes/keys.js'
import { leaseOf } from '../processes/lease.js'
import { startCommand } from '../processes/lifecycle.js'
import { registerCommand } from '../processes/register.js'
import { takeRegistration } from '../processes/registration.js'
import type { JsonValue } from '../base/json.js'
import { claimExecution } from './claim.js'
import { inboxHandlers } from './inbox.js'
import { advanceCursor, cursorsOf, dropFeed, readFeed, waitForFeed, watchRows, watermarkOf } from './object-feed.js'
import { nowOf } from './now.js'
import { kindOf, ProcessBook, rowKey, type ProcessRow } from './process-book.js'
import type { RestateProcess } from './process-picture.js'
import type { RetryPolicy } from './retry.js'
import { processesService, processService } from './services.js'
import { storeHandlers } from './store-object.js'
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
  watchedSchema,
  type Claim,
  type ClaimRequest,
  type FeedPage,
  type ProcessEnd,
  type RunRequest,
  type Settled,
  type StartRequest,
} from './wire.js'

type Context = restate.ObjectContext
type SharedContext = restate.ObjectSharedContext
type Row = Awaited<ReturnType<ProcessBook['known']>>

/**
 * The processes of one owner: the only writer of these processes and of their feed. The engine runs one handler at a
 * time per owner, and writes the handler's changes together with its answer, so an end and its feed row are one change
 * . The commands of the processes room decide what is legal and what is logged.
 *
 * Each row is a separate state key, fetched when needed, so the cost of a call does not depend on how many rows there
 * are.
 */
export function processObject(retryPolicy: RetryPolicy, clock: Clock) {
  const open = (ctx: Context, id: ProcessId): Promise<ProcessBook> => ProcessBook.open(ctx, nowOf(ctx, clock), id)
  const settle = async (
    ctx: Context,
    {
      id,
      output,
      fencingToken,
    }: { readonly id: ProcessId; readonly output: AwaitOutput; readonly fencingToken?: number },
    isOwn: boolean,
  ): Promise<Settled> => {
    const { book, tail } = await ProcessBook.openForEnd(ctx, nowOf(ctx, clock), id)
    const held = await book.known(id)
    // The engine lets one attempt say so, and a claim of another attempt that comes late takes nothing from it.
    const isFenced = fencingToken !== undefined && (!isOwn || held.row.isOutside === true)
    if (isFenced && isRunning(held)) checkFence(held, fencingToken)
    const { disposition } = held.row.stored.registered
    const right =
      disposition === 'externally_owned'
        ? ({ type: 'external_owner' } as const)
        : ({ type: 'workflow_key', key: id } as const)
    const { result } = await book.decide(completeCommand(id, output, right))
    const told = await book.write(ctx, tail)
    if (!isOwn) tell(ctx, told)
    const { row } = await book.known(id)
    const stands = row.stored.state.outcome as AwaitOutput
    return { seq: row.seq as number, output: stands, isFirst: result.outcome === 'committed' }
  }
  return restate.object({
    name: processesService,
    handlers: {
      /** Registers a process and starts it. Repeating it under the same id changes nothing. */
      start: door(startSchema, 'start', async (ctx: Context, request) =>
        start(ctx, await open(ctx, request.id), request),
      ),
      claim: door(claimSchema, 'claim', async (ctx: Context, request) =>
        claim(ctx, await ProcessBook.open(ctx, request.atMs, request.id), request),
      ),
      progress: door(progressSchema, 'progress', async (ctx: Context, { id, fencingToken, message }) => {
        const book = new ProcessBook(ctx, 0)
        const held = await book.known(id)
        checkFence(held, fencingToken)
        const progressCount = held.row.progressCount + 1
        book.replace(id, { ...held.row, progressCount, ...(message !== undefined && { progress: message }) })
        await book.write(ctx)
        return { progressCount }
      }),
      /** Ends a process from outside its run. The run is notified. */
      settle: door(settleSchema, 'end', (ctx: Context, request) => settle(ctx, request, false)),
      /** Ends a process with the outcome of its own run. */
      end: door(settleSchema, 'end', (ctx: Context, request) => settle(ctx, request, true)),
      cancel: door(cancelSchema, 'cancel', (ctx: Context, { id, message = 'cancelled' }) =>
        settle(ctx, { id, output: { type: 'cancelled', message } }, false),
      ),
      append: door(appendSchema, 'event', async (ctx: Context, request) =>
        append(ctx, await open(ctx, request.id), request),
      ),
      ...inboxHandlers(async (ctx, id) => {
        const { row } = await new ProcessBook(ctx, 0).known(id)
        const { stored } = row
        if (select(stored, { type: 'signal' }).isTaken) return
        throw new ProcessError('process.already_terminal', { processId: id, status: stored.state.status })
      }),
      waiting: door(waitingSchema, 'wait', waitForFeed),
      /** Resolves an awakeable when a process has ended, now or later. */
      watchEnd: door(watchedSchema, 'wait', async (ctx: Context, { id, awakeable }) => {
        const { row } = await new ProcessBook(ctx, 0).known(id)
        const { outcome } = row.stored.state
        if (outcome === undefined) await watchRows(ctx, [{ id, awakeable }])
        else ctx.resolveAwakeable(awakeable, outcome)
      }),
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
        door(idSchema, 'id of a process', async (ctx: SharedContext, id): Promise<RestateProcess | null> => {
          const { row, lease } = await new ProcessBook(ctx, 0).fetch(id)
          return row === undefined ? null : pictureOf(row, lease?.fencingToken ?? 0)
        }),
      ),
      // What only looks records nothing: whatever its instant is, it decides nothing that is kept.
      ...storeHandlers(
        async (ctx) => new ProcessBook(ctx, await nowOf(ctx, clock)()),
        (ctx) => new ProcessBook(ctx, Math.trunc(clock.wallNow())),
        tell,
      ),
    },
    options: { enableLazyState: true, retryPolicy },
  })
}

/** The type of the process object. */
export type ProcessObject = ReturnType<typeof processObject>

function pictureOf(row: ProcessRow, fencingToken: number): RestateProcess {
  const { stored, progressCount, progress, seq } = row
  const { status, outcome } = stored.state
  return {
    id: stored.registered.id,
    kind: kindOf(row),
    status,
    fencingToken,
    progressCount,
    ...(progress !== undefined && { progress }),
    ...(seq !== undefined && outcome !== undefined && { end: { seq, output: outcome } }),
  }
}

async function start(
  ctx: Context,
  book: ProcessBook,
  { notify, eventTypes, ...request }: StartRequest,
): Promise<{ readonly invocationId: string }> {
  const { id, kind, envRef, input, disposition, maxAttempts } = request
  const registration = takeRegistration({
    id,
    input: { type: 'engine', kind, payload: input ?? null },
    disposition,
    eventTypes,
    provenance: { originator: { type: 'host' } },
    envRef,
    ...(maxAttempts !== undefined && { maxAttempts }),
  })
  try {
    await book.decide(registerCommand(registration))
  } catch (refusal) {
    if (notify !== undefined) ctx.rejectAwakeable(notify, (refusal as Error).message)
    throw refusal
  }
  const { row } = await book.known(id)
  const { outcome } = row.stored.state
  if (notify !== undefined) {
    if (outcome !== undefined) ctx.resolveAwakeable(notify, outcome)
    else await watchRows(ctx, [{ id, awakeable: notify }])
  }
  if (row.invocationId !== undefined) return { invocationId: row.invocationId }
  const run: RunRequest = { ...request, owner: ctx.key }
  const invocationId = await ctx.genericSend({
    service: processService,
    method: 'run',
    key: id,
    parameter: run,
    inputSerde: restate.serde.json as restate.Serde<RunRequest>,
  }).invocationId
  book.replace(id, { ...row, invocationId })
  await book.write(ctx)
  return { invocationId }
}

/**
 * Claims a new fencing token for an attempt that starts to work. It is the lease of the process, and it does not expire
 * (R-4).
 */
async function claim(ctx: Context, book: ProcessBook, request: ClaimRequest): Promise<Claim> {
  const { id, owner } = request
  const held = await book.known(id)
  const { stored } = held.row
  // Of what has ended no step is begun, whoever asks.
  if (!isRunning(held))
    throw new ProcessError('process.already_terminal', { processId: id, status: stored.state.status })
  const { lease, row } = held
  const execution = {
    place: placeOf(stored),
    fencingToken: lease?.fencingToken ?? 0,
    ...(lease?.holder !== undefined && { owner: lease.holder.owner }),
    ...(row.isOutside && { isOutside: row.isOutside }),
  }
  const { claim: taken, held: claimed } = await claimExecution(ctx, execution, request, async (fencingToken) => {
    const holder = {
      owner,
      leaseToken: ctx.rand.uuidv4(),
      claimedAtMs: book.nowMs,
      expiresAtMs: Number.MAX_SAFE_INTEGER,
    }
    const next = { fencingToken, holder }
    book.lease(id, next)
    const started = { owner, startedAtMs: book.nowMs }
    const { refusal } = await book.decide(startCommand(id, started, leaseOf(id, next)))
    // Its run says how it ends; until then it is only not begun again.
    if (refusal !== undefined) throw refusal
    return placeOf((await book.known(id)).row.stored)
  })
  if (claimed === execution) return taken
  const { isOutside: _, ...rest } = (await book.known(id)).row
  book.replace(id, { ...rest, ...(claimed.isOutside && { isOutside: claimed.isOutside }) })
  await book.write(ctx)
  return taken
}

async function append(
  ctx: Context,
  book: ProcessBook,
  { id, eventType, payload, ordinal }: { id: ProcessId; eventType: string; payload: JsonValue; ordinal: number },
): Promise<ProcessEvent> {
  const replay = { key: ordinalKey(id, ordinal) }
  const { result } = await book.decide(appendCommand(id, { eventType, payload, replay }, undefined))
  await book.write(ctx)
  return result.event
}

/** Notifies runs that their processes have ended. The ends are durable before. */
function tell(ctx: Context, ended: readonly ProcessRow[]): void {
  for (const { invocationId } of ended)
    if (invocationId !== undefined) ctx.cancel(restate.InvocationIdParser.fromString(invocationId))
}

/** Drops the oldest ends and their processes, but none that a consumer of the feed has not passed yet. */
async function forget(ctx: Context, { through }: { readonly through: number }): Promise<number> {
  const last = Math.min(through, ...Object.values(await cursorsOf(ctx)))
  return dropFeed<ProcessEnd, ProcessRow>(ctx, last, {
    idOf: ({ processId }) => processId,
    keyOfRow: rowKey,
    seqOf: ({ seq }) => seq,
  })
}

function checkFence({ row, lease }: Row, fencingToken: number): void {
  if (fencingToken === (lease?.fencingToken ?? 0)) return
  throw new ProcessError('process.lease_superseded', { processId: row.stored.registered.id, fencingToken })
}

function isRunning({ row }: Row): boolean {
  return row.stored.state.status === 'running'
}
