import * as v from 'valibot'
import type { AuthInfo } from '@modelcontextprotocol/server'
import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import { onAbort } from '../../base/abort.js'
import { createDeferred, type Deferred } from '../../base/promises.js'
import type { Quota, TakenLimits } from '../life/limits.js'
import { hasEnded, type TaskState } from '../wire/detailed-task.js'
import { declaresTasks } from '../wire/capability.js'
import { internalError, invalidParams, missingCapability, type WireError } from '../wire/errors.js'
import { clientCapabilitiesKey, subscriptionIdKey } from '../wire/names.js'
import { listenParamsSchema } from '../wire/shapes.js'
import { StatewardError } from '../../base/errors.js'
import { callerOf, checkAuthorized, wireErrorOf, type DoorContext, type McpRequest } from './request.js'

/** An incoming JSON-RPC request. */
export interface WireRequest {
  readonly jsonrpc?: unknown
  readonly id?: string | number | null
  readonly method?: unknown
  readonly params?: unknown
}

/** An outgoing JSON-RPC message. */
export type WireMessage = Readonly<Record<string, unknown>> & { readonly jsonrpc: '2.0' }

/** Options of a stream. */
export interface ListenOptions {
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly limits: TakenLimits
  readonly streams: Quota
}

/** The shortest time between two unstored status texts of a task, in milliseconds. */
const statusPaceMs = 250

/** Whether a message asks to listen to tasks. Other subscriptions are left to the SDK. */
export function isTaskListen(message: unknown): message is WireRequest {
  const { method, params } = (message ?? {}) as WireRequest
  if (method !== 'subscriptions/listen') return false
  const { notifications } = (params ?? {}) as { readonly notifications?: { readonly taskIds?: unknown } }
  return notifications?.taskIds !== undefined
}

/** The other notifications in a filter that are served. */
export type CoreFilter = Readonly<Record<string, unknown>>

/** The request without tasks, to let the SDK decide whether it is served and which other notifications are. */
export function withoutTasks(message: WireRequest): WireRequest {
  const params = message.params as { readonly notifications: Readonly<Record<string, unknown>> }
  const { taskIds: _, ...notifications } = params.notifications
  return { ...message, params: { ...params, notifications } }
}

/**
 * Resolves with the error that answers a request to listen, or with the opened stream. `core` contains the other
 * notifications to acknowledge.
 */
export async function openListen(
  door: DoorContext,
  options: ListenOptions,
  message: WireRequest,
  authInfo: AuthInfo | undefined,
  core: CoreFilter,
): Promise<{ readonly error: WireError } | { readonly stream: ListenStream }> {
  const { params, id } = message
  const { _meta } = (params ?? {}) as { readonly _meta?: Readonly<Record<string, unknown>> }
  if (!declaresTasks(_meta?.[clientCapabilitiesKey])) return { error: missingCapability }
  try {
    await door.life.ready()
    const request: McpRequest = { method: 'subscriptions/listen', ...(authInfo !== undefined && { authInfo }) }
    const caller = await callerOf(door, request)
    const isId = typeof id === 'string' || typeof id === 'number'
    if (!isId || !v.is(listenParamsSchema, params))
      return { error: invalidParams('Invalid params: not a filter of tasks') }
    const { taskIds } = params.notifications
    const found = await Promise.all(
      [...new Set(taskIds)].map(async (taskId) => {
        try {
          const state = await door.life.find(taskId, caller)
          await checkAuthorized(door, 'listen', { taskId, tool: state.payload.tool }, request)
          return state
        } catch (refusal) {
          // Left out silently, so that callers cannot tell foreign tasks from missing ones.
          if (StatewardError.is(refusal, 'mcp_task_unknown')) return undefined
          throw refusal
        }
      }),
    )
    const states = found.filter((state) => state !== undefined)
    const principal = door.life.principalOf(caller)
    try {
      options.streams.take(principal, 1000)
    } catch {
      return { error: internalError('Subscription limit reached') }
    }
    const expiresAtMs = authInfo?.expiresAt === undefined ? undefined : authInfo.expiresAt * 1000
    const release = (): void => options.streams.release(principal)
    return { stream: new ListenStream(door, options, id, states, core, expiresAtMs, release) }
  } catch (thrown) {
    return { error: wireErrorOf(thrown, door.logger) }
  }
}

/** A task that a stream reports on. */
interface ToldTask {
  following?: Disposable
  /** The last reported state, so that equal states are reported once. */
  state?: TaskState
  text?: string | undefined
  atMs: number
  /** When a delayed text is reported. */
  paced?: Deadline | undefined
  /** Its message in the queue. */
  queued?: Queued
}

/** A queued message. A task is formatted when it is read. */
interface Queued {
  readonly state?: TaskState
  message?: Readonly<Record<string, unknown>>
  /** A later message of the same task is queued, too. */
  isOutdated?: boolean
  isRead?: boolean
}

/**
 * One notification stream: the acknowledgement, the current state of every task, then every change, in order per task.
 * Unread messages are queued up to a limit. Beyond it only the latest state of each task is kept, so a slow reader
 * delays nobody.
 */
export class ListenStream implements Disposable {
  readonly id: string | number
  readonly #door: DoorContext
  readonly #options: ListenOptions
  readonly #tasks = new Map<string, ToldTask>()
  /** At most one queued message for each kind of other notification. */
  readonly #core: Map<string, Queued> | undefined
  readonly #release: () => void
  readonly #forgetClosing: () => void
  #expiry: Deadline | undefined
  #queue: Queued[] = []
  #mostQueued: number
  #waiting: Deferred<void> | undefined
  #isEnding = false
  #isClosed = false

  constructor(
    door: DoorContext,
    options: ListenOptions,
    id: string | number,
    states: readonly TaskState[],
    core: CoreFilter,
    expiresAtMs: number | undefined,
    release: () => void,
  ) {
    this.id = id
    this.#door = door
    this.#options = options
    this.#mostQueued = options.limits.maxQueuedNotifications
    this.#release = release
    this.#forgetClosing = onAbort(door.life.closing, () => this.end())
    if (Object.keys(core).length > 0) this.#core = new Map()
    this.#push({
      message: {
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications: { ...core, taskIds: states.map(({ taskId }) => taskId) }, _meta: this.#meta },
      },
    })
    for (const state of states) this.#begin(state)
    if (expiresAtMs !== undefined) {
      const leftMs = Math.max(0, expiresAtMs - options.clock.wallNow())
      this.#expiry = options.deadlines.after(leftMs, () => this.end())
    }
    if (door.life.closing.aborted) this.end()
    this.#endIfDone()
  }

  /** The next message. `undefined` at the end of the stream. Supports one reader at a time. */
  async next(): Promise<WireMessage | undefined> {
    for (;;) {
      const first = this.#queue.shift()
      if (first !== undefined) {
        first.isRead = true
        return { jsonrpc: '2.0', ...(first.message ?? this.#messageOf(first.state as TaskState)) }
      }
      if (this.#isEnding || this.#isClosed) return undefined
      this.#waiting = createDeferred<void>()
      await this.#waiting.promise
    }
  }

  /** Queues another notification. Replaces a queued one of the same name. */
  tell(name: string, method: string, params: Readonly<Record<string, unknown>> = {}): void {
    const message = { method, params: { ...params, _meta: this.#meta } }
    const queued = this.#core?.get(name)
    if (queued !== undefined && queued.isRead !== true) {
      queued.message = message
      return
    }
    const fresh: Queued = { message }
    this.#core?.set(name, fresh)
    this.#push(fresh)
  }

  /** Ends the stream after the queued messages. */
  end(): void {
    if (this.#isEnding || this.#isClosed) return
    this.#push({ message: { id: this.id, result: { resultType: 'complete', _meta: this.#meta } } })
    this.#isEnding = true
    this.#letGo()
  }

  /** Ends the stream at once, because the reader is gone. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#queue = []
    if (!this.#isEnding) this.#letGo()
  }

  #letGo(): void {
    for (const told of this.#tasks.values()) {
      told.following?.[Symbol.dispose]()
      told.paced?.[Symbol.dispose]()
    }
    this.#tasks.clear()
    this.#core?.clear()
    this.#expiry?.[Symbol.dispose]()
    this.#forgetClosing()
    this.#release()
    this.#waiting?.resolve()
  }

  #begin(state: TaskState): void {
    const told: ToldTask = { atMs: 0 }
    // Follow first, so that later changes are reported after this state.
    if (!hasEnded(state)) {
      this.#tasks.set(state.taskId, told)
      told.following = this.#door.life.follow(state, (next) => this.#notify(told, next))
    }
    this.#notify(told, state)
  }

  #notify(told: ToldTask, state: TaskState): void {
    if (this.#isEnding || this.#isClosed) return
    const { state: last } = told
    const text = this.#door.life.textOf(state)
    const isSame = last !== undefined && isToldAlike(last, state)
    if (isSame && (told.text === text || this.#isTooSoon(told, state))) return
    told.paced?.[Symbol.dispose]()
    told.paced = undefined
    told.state = state
    told.text = text
    told.atMs = this.#options.clock.monotonicNow()
    this.#pushTask(told, state)
    if (!hasEnded(state)) return
    told.following?.[Symbol.dispose]()
    if (this.#tasks.delete(state.taskId)) this.#endIfDone()
  }

  /** Whether a text comes too soon. It is then sent a little later, unless another one replaces it. */
  #isTooSoon(told: ToldTask, state: TaskState): boolean {
    const { clock, deadlines } = this.#options
    const leftMs = told.atMs + statusPaceMs - clock.monotonicNow()
    if (leftMs <= 0) return false
    told.paced ??= deadlines.after(leftMs, () => {
      told.paced = undefined
      this.#notify(told, state)
    })
    return true
  }

  #pushTask(told: ToldTask, state: TaskState): void {
    const { queued } = told
    if (queued !== undefined && queued.isRead !== true) {
      // The status text is looked up when the message is read.
      if (queued.state === state) return
      queued.isOutdated = true
    }
    if (this.#queue.length >= this.#mostQueued) {
      this.#queue = this.#queue.filter(({ isOutdated }) => isOutdated !== true)
      // With very many tasks, one message each may exceed the limit. Filter again when the queue has doubled.
      this.#mostQueued = Math.max(this.#options.limits.maxQueuedNotifications, 2 * this.#queue.length)
    }
    told.queued = { state }
    this.#push(told.queued)
  }

  #messageOf(state: TaskState): Readonly<Record<string, unknown>> {
    return { method: 'notifications/tasks', params: { ...this.#door.life.detailed(state), _meta: this.#meta } }
  }

  #push(queued: Queued): void {
    if (this.#isEnding || this.#isClosed) return
    this.#queue.push(queued)
    this.#waiting?.resolve()
  }

  #endIfDone(): void {
    if (this.#tasks.size === 0 && this.#core === undefined) this.end()
  }

  get #meta(): Readonly<Record<string, unknown>> {
    return { [subscriptionIdKey]: this.id }
  }
}

/** Whether two states look the same to hosts, apart from their texts. */
function isToldAlike(one: TaskState, other: TaskState): boolean {
  return one.updatedAtMs === other.updatedAtMs && one.place === other.place
}
