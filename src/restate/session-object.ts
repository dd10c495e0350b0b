import * as restate from '@restatedev/restate-sdk'
import type { Clock } from '../base/clock.js'
import { InvalidInputError } from '../base/errors.js'
import {
  cursorConsumers,
  isTerminal,
  processChart,
  type CursorConsumer,
  type OperationId,
  type OperationOutcome,
  type OperationSpec,
  type ProcessMove,
  type ProcessPlace,
  type TurnId,
  type WaitRequestId,
} from '../../machines/index.js'
import { kindClasses, OperationError, type CompletionCursors, type CompletionEntry } from '../operations/index.js'
import { checkProgress, checkSource, checkSpec } from '../operations/admission.js'
import { checkOutcome, outcomes } from '../operations/outcomes.js'
import { checkOutcomeSize, checkProgressSize } from './bounds.js'
import { claimExecution, unstarted, type Execution } from './claim.js'
import { ClaimError } from './errors.js'
import { nowOf } from './now.js'
import { pictureOf, type HeldOperation, type HeldWork, type RestateOperation } from './held-operation.js'
import { inboxHandlers } from './inbox.js'
import {
  advanceCursor,
  appendToFeed,
  cursorsOf,
  dropFeed,
  readFeed,
  readTail,
  tellWatchers,
  waitForFeed,
  watchRows,
  type FeedTail,
} from './object-feed.js'
import type { RetryPolicy } from './retry.js'
import { runKeyOf } from './keys.js'
import { operationService, sessionService } from './services.js'
import { operationKey, readHead, SessionBook, type SessionHead } from './session-book.js'
import {
  advanceSchema,
  closeSchema,
  consumerSchema,
  endSchema,
  expireSchema,
  limitSchema,
  listSchema,
  operationClaimSchema,
  operationIdSchema,
  registerSchema,
  reportSchema,
  watchSchema,
  type CompletionPage,
  type Ended,
  type EndRequest,
  type OperationClaimRequest,
  type OperationRunRequest,
  type WorkRequest,
} from './session-wire.js'
import { door, sinceSchema, waitingSchema, watchedSchema, type Claim } from './wire.js'

type Context = restate.ObjectContext
type SharedContext = restate.ObjectSharedContext
/** Opens the book of a call, optionally with one row. */
type OpenBook = (ctx: Context, id?: OperationId) => Promise<SessionBook>

/** How long the answer to a call is kept for a repetition, in milliseconds. */
const answersKeptMs = 600_000

/**
 * One session: the only writer of its operations and of their feed. The charts of the registry and of the operation
 * decide what is legal, as within a single Node process. An end, its feed row, the ends of descendants and the
 * waking of waiters are one change.
 */
export function sessionObject(retryPolicy: RetryPolicy, clock: Clock, kept: number) {
  const open: OpenBook = (ctx, id) => SessionBook.open(ctx, nowOf(ctx, clock), kept, id)
  return restate.object({
    name: sessionService,
    handlers: {
      register: door(registerSchema, 'register', (ctx: Context, request) => register(ctx, open, request)),
      claim: door(operationClaimSchema, 'claim', async (ctx: Context, request) =>
        claim(ctx, await SessionBook.open(ctx, request.atMs, kept, request.id), request),
      ),
      progress: door(reportSchema, 'progress', async (ctx: Context, { id, fencingToken, message, fraction }) => {
        const progress = checkProgress({ message, ...(fraction !== undefined && { fraction }) } as never)
        checkProgressSize(progress)
        const book = await open(ctx, id)
        checkFence(book, id, fencingToken)
        book.take({ type: 'operation.progress_reported', id })
        book.replace({ ...rowOf(book, id), progress })
        book.write(ctx)
      }),
      /** The moves that leave an operation live and carry no data. */
      advance: door(advanceSchema, 'move', async (ctx: Context, { id, action }) => {
        const book = await open(ctx, id)
        book.take({ type: `operation.${action}`, id })
        book.write(ctx)
      }),
      end: door(endSchema, 'end', async (ctx: Context, request) => {
        const { book, tail } = await SessionBook.openForEnd(ctx, nowOf(ctx, clock), kept, request.id)
        return end(ctx, book, tail, request)
      }),
      /** Ends an operation whose deadline has passed. */
      expire: door(expireSchema, 'deadline', async (ctx: Context, { id, deadlineMs }) => {
        const book = await open(ctx, id)
        if (!book.isLive(id)) return
        const outcome = outcomes.failed(`deadline of ${deadlineMs} ms exceeded`, { reason: 'deadline' })
        await endIn(ctx, book, { id, action: 'fail', outcome })
      }),
      ...inboxHandlers(async (ctx, told) => {
        const id = told as OperationId
        const row = await ctx.get<HeldOperation>(operationKey(id))
        if (row === null) throw new OperationError('not_found', { id })
        if (isTerminal(row.status))
          throw new OperationError('invalid_transition', { id, status: row.status, action: 'signal' })
      }),
      limit: door(limitSchema, 'limits', async (ctx: Context, { maxConcurrent }) => {
        const book = await open(ctx)
        book.limitTo(maxConcurrent)
        book.write(ctx)
      }),
      close: door(closeSchema, 'close', async (ctx: Context, { reason }) => close(ctx, await open(ctx), reason)),
      /** Resolves each awakeable with how its operation ended, now or later. */
      watch: door(watchSchema, 'wait', async (ctx: Context, { members }) => {
        const book = await open(ctx)
        const operationIds = members.map(({ id }) => id)
        await book.fetchAll(ctx, operationIds)
        const wait = { requestId: 'wait' as WaitRequestId, turnId: 'wait' as TurnId, operationIds }
        book.take({ type: 'wait_all.begin', ...wait })
        const isLive = ({ id }: { readonly id: OperationId }): boolean => book.isLive(id)
        await watchRows(ctx, members.filter(isLive))
        for (const { id, awakeable } of members)
          if (!book.isLive(id)) ctx.resolveAwakeable(awakeable, rowOf(book, id).outcome)
      }),
      waiting: door(waitingSchema, 'wait', waitForFeed),
      /** Resolves an awakeable when an operation has ended, now or later. */
      watchEnd: door(watchedSchema, 'wait', async (ctx: Context, { id, awakeable }) => {
        const row = await ctx.get<HeldOperation>(operationKey(id))
        if (row === null) throw new OperationError('not_found', { id: id as OperationId })
        if (row.outcome === null) await watchRows(ctx, [{ id, awakeable }])
        else ctx.resolveAwakeable(awakeable, row.outcome)
      }),
      advanceCursor: door(consumerSchema, 'cursor', (ctx: Context, { consumer, cursor }) =>
        advanceCursor(ctx, consumer, cursor),
      ),
      cursors: restate.handlers.object.shared(async (ctx: SharedContext): Promise<CompletionCursors> => {
        const stood = await cursorsOf(ctx)
        const cursors = cursorConsumers.map((consumer) => [consumer, stood[consumer] ?? 0] as const)
        return Object.fromEntries(cursors) as Record<CursorConsumer, number>
      }),
      since: restate.handlers.object.shared(
        door(sinceSchema, 'page', (ctx: SharedContext, place): Promise<CompletionPage> => readFeed(ctx, place)),
      ),
      read: restate.handlers.object.shared(
        door(operationIdSchema, 'operation id', async (ctx: SharedContext, id): Promise<RestateOperation | null> => {
          const row = await ctx.get<HeldOperation>(operationKey(id))
          return row && pictureOf(row)
        }),
      ),
      list: restate.handlers.object.shared(
        door(listSchema, 'list', async (ctx: SharedContext, { isLive }): Promise<RestateOperation[]> => {
          const rows = await rowsOf(ctx)
          return rows.filter(({ status }) => !isLive || !isTerminal(status)).map(pictureOf)
        }),
      ),
      head: restate.handlers.object.shared((ctx: SharedContext): Promise<SessionHead> => readHead(ctx)),
    },
    options: { enableLazyState: true, retryPolicy, idempotencyRetention: answersKeptMs },
  })
}

/** The type of the session object. */
export type SessionObject = ReturnType<typeof sessionObject>

async function register(
  ctx: Context,
  open: OpenBook,
  { spec: told, limit, work }: { readonly spec: unknown; readonly limit?: number; readonly work?: WorkRequest },
): Promise<{ readonly invocationId?: string }> {
  const spec = checkSpec(told as OperationSpec)
  const { id, input, ownerSessionId } = spec
  if (ownerSessionId !== ctx.key) {
    const reason = `not the session that it is registered in, which is ${ctx.key}`
    throw new InvalidInputError({ subject: 'operation spec', field: 'ownerSessionId', reason })
  }
  const book = await open(ctx, id)
  await book.fetchFor(ctx, spec)
  // An id in use is refused as such, whatever else is wrong.
  if (!book.isUsed(id)) checkSource(spec)
  // Without code it is begun once, by whoever claims it.
  const execution = unstarted(work?.disposition ?? 'owner_bound', work?.maxAttempts)
  book.take({ type: 'register', spec, ...(limit !== undefined && { limit }) }, execution)
  if (work === undefined) {
    book.write(ctx)
    return {}
  }
  const run: OperationRunRequest = { id, session: ctx.key, work, ...(input !== undefined && { input }) }
  const key = runKeyOf({ sessionId: ownerSessionId, operationId: id })
  const invocationId = await send(ctx, { service: operationService, method: 'run', key, parameter: run })
  const held: HeldWork = { name: work.name, invocationId, ...(await deadlineOf(ctx, id, work)) }
  book.replace({ ...rowOf(book, id), work: held })
  book.write(ctx)
  return { invocationId }
}

async function deadlineOf(
  ctx: Context,
  id: OperationId,
  { deadlineMs }: WorkRequest,
): Promise<Pick<HeldWork, 'deadline'>> {
  if (deadlineMs === undefined) return {}
  const parameter = { id, deadlineMs }
  const expire = { service: sessionService, method: 'expire', key: ctx.key, parameter, delay: deadlineMs }
  return { deadline: { invocationId: await send(ctx, expire), deadlineMs } }
}

function send(
  ctx: Context,
  message: { service: string; method: string; key: string; parameter: unknown; delay?: number },
): Promise<string> {
  return ctx.genericSend({ ...message, inputSerde: restate.serde.json as restate.Serde<unknown> }).invocationId
}

/**
 * Claims an operation. The first claim starts it. Each returns the fencing token under which its work may be done
 * (R-4).
 */
async function claim(ctx: Context, book: SessionBook, request: OperationClaimRequest): Promise<Claim> {
  const { id } = request
  // Nothing is begun of what has ended, and the chart says so.
  const status = book.effectiveStatus(id)
  if (status !== 'running' && status !== 'retiring') book.take({ type: 'operation.start', id })
  const row = rowOf(book, id)
  const { claim: taken, held } = await claimExecution(ctx, row.execution, request, (fencingToken) =>
    moveExecution(row, row.execution, { type: 'start', fencingToken }),
  )
  if (held !== row.execution) book.replace({ ...row, execution: held })
  book.write(ctx)
  return taken
}

/** The next state in the chart of executions, which is that of processes. Raises its refusal. */
function moveExecution({ spec }: HeldOperation, { place, owner }: Execution, event: ProcessMove): ProcessPlace {
  const selection = processChart.select(place, event)
  if (selection.isTaken) return processChart.follow(place, event, selection)
  const { maxAttempts } = place.context
  const operationId = spec.id
  if (selection.guard === 'hasAttemptLeft' && maxAttempts !== undefined)
    throw new ClaimError('attempts_exhausted', { operationId, maxAttempts })
  throw new ClaimError('already_claimed', { operationId, owner: owner?.incarnationId ?? 'nobody' })
}

async function end(ctx: Context, book: SessionBook, tail: FeedTail, request: EndRequest): Promise<Ended> {
  const { id, action, isRun, fencingToken } = request
  const outcome = checkOutcome(id, request.outcome)
  const row = book.rows.get(id)
  const isOwn = isRun === true
  if (!isOwn) checkOutcomeSize(outcome)
  if (isOwn && row?.outcome) {
    const { completionSequence: seq } = row
    return { outcome: row.outcome, ...(seq !== undefined && { seq }), isFirst: false }
  }
  // The engine lets one attempt say its end, and a late claim of another one takes nothing from it; one from outside does.
  if (row !== undefined && (!isOwn || row.execution.isOutside === true)) checkFence(book, id, fencingToken)
  // Work that has done no step has begun nonetheless.
  const isBegun = action === 'complete' && row?.status === 'provisioning'
  if (isOwn && isBegun) book.take({ type: 'operation.start', id })
  const told = isOwn ? timed(rowOf(book, id), outcome, book.now) : outcome
  return endIn(ctx, book, { id, action, outcome: told, isOwn }, tail)
}

/** Adds the duration of the work, which only this object knows. */
function timed({ startedAtMs }: HeldOperation, outcome: OperationOutcome, nowMs: number): OperationOutcome {
  if (outcome.type !== 'completed') return outcome
  const durationMs = Math.max(0, nowMs - (startedAtMs ?? nowMs))
  return { type: 'completed', result: { ...outcome.result, durationMs } }
}

async function endIn(
  ctx: Context,
  book: SessionBook,
  { id, action, outcome, isOwn = false }: EndRequest & { readonly isOwn?: boolean },
  tail?: FeedTail,
): Promise<Ended> {
  await book.fetchBelow(ctx, id)
  book.takeEnd({ type: `operation.${action}`, id, outcome })
  await publish(ctx, book, isOwn ? id : undefined, tail)
  const { completionSequence: seq } = rowOf(book, id)
  return { outcome, ...(seq !== undefined && { seq }), isFirst: true }
}

/** Adds decided ends to this change: rows, feed and waiters. Runs are notified, except the one that ends. */
async function publish(ctx: Context, book: SessionBook, own: OperationId | undefined, tail?: FeedTail): Promise<void> {
  let watermark = 0
  for (const { id, outcome } of book.ended) {
    const row = rowOf(book, id)
    const { kind, displayName } = row.spec
    const { completedAtMs = null } = row
    const told = { operationId: id, kind, displayName, outcome, completedAtMs }
    const stood = book.ended.length === 1 && tail !== undefined ? tail : await readTail(ctx, id)
    if (kindClasses[kind].feed === 'emit') {
      const { seq } = appendToFeed<CompletionEntry>(ctx, stood, (next) => ({ seq: next, ...told }))
      book.replace({ ...row, completionSequence: seq })
      watermark = seq
    }
    tellWatchers(ctx, id, stood, outcome)
    const { invocationId, deadline } = row.work ?? {}
    if (invocationId !== undefined && id !== own) cancel(ctx, invocationId)
    if (deadline !== undefined) cancel(ctx, deadline.invocationId)
  }
  for (const { id } of book.ended)
    if (kindClasses[rowOf(book, id).spec.kind].durability === 'discard') book.discard(ctx, id)
  book.write(ctx)
  // Many are dropped together: that takes a look at all keys.
  if (watermark - book.droppedThrough < book.kept + Math.ceil(book.kept / 4)) return
  await dropFeed<CompletionEntry, HeldOperation>(ctx, watermark - book.kept, {
    idOf: ({ operationId }) => operationId,
    keyOfRow: operationKey,
    seqOf: ({ completionSequence }) => completionSequence,
  })
}

function cancel(ctx: Context, invocationId: string): void {
  ctx.cancel(restate.InvocationIdParser.fromString(invocationId))
}

/** Ends all live operations and accepts no new ones. */
async function close(ctx: Context, book: SessionBook, reason: string): Promise<void> {
  if (book.isRetired) return
  book.take({ type: 'owner.drain' })
  const live = (await rowsOf(ctx)).filter(({ status }) => !isTerminal(status)).map(({ spec }) => spec.id)
  for (const id of live.toSorted()) {
    await book.fetch(ctx, id)
    await book.fetchBelow(ctx, id)
  }
  for (const id of live.toSorted())
    if (book.isLive(id)) book.take({ type: 'operation.terminate', id, outcome: outcomes.terminated(reason) })
  book.take({ type: 'owner.retire' })
  await publish(ctx, book, undefined)
}

/** Every row, by display name, then by creation order. Reads all keys. */
async function rowsOf(ctx: SharedContext): Promise<HeldOperation[]> {
  const prefix = operationKey('')
  const rows: HeldOperation[] = []
  for (const key of await ctx.stateKeys()) {
    if (!key.startsWith(prefix)) continue
    const row = await ctx.get<HeldOperation>(key)
    if (row !== null) rows.push(row)
  }
  const order = ({ spec: { displayName, id } }: HeldOperation): string => `${displayName}\n${id}`
  return rows.toSorted((one, other) => (order(one) < order(other) ? -1 : 1))
}

function rowOf(book: SessionBook, id: OperationId): HeldOperation {
  const row = book.rows.get(id)
  if (row === undefined) throw new OperationError('not_found', { id })
  return row
}

/** Raises `lease_superseded` if a fencing token is given that is not the current one. */
function checkFence(book: SessionBook, id: OperationId, fencingToken: number | undefined): void {
  const row = book.rows.get(id)
  if (row === undefined || fencingToken === undefined || fencingToken === row.execution.fencingToken) return
  throw new ClaimError('lease_superseded', { operationId: id, fencingToken })
}
