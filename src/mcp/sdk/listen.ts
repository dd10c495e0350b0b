import * as v from 'valibot'
import type { AuthInfo } from '@modelcontextprotocol/server'
import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import { createDeferred, type Deferred } from '../../base/promises.js'
import type { Quota, TakenLimits } from '../life/limits.js'
import { hasEnded, type TaskState } from '../wire/detailed-task.js'
import { declaresTasks } from '../wire/capability.js'
import { internalError, invalidParams, missingCapability, type WireError } from '../wire/errors.js'
import { clientCapabilitiesKey, subscriptionIdKey } from '../wire/names.js'
import { listenParamsSchema, type DetailedTask } from '../wire/shapes.js'
import { StatewardError } from '../../base/errors.js'
import { callerOf, checkAuthorized, wireErrorOf, type DoorContext, type McpRequest } from './request.js'

/** A request of JSON-RPC as it came in. */
export interface WireRequest {
  readonly jsonrpc?: unknown
  readonly id?: string | number | null
  readonly method?: unknown
  readonly params?: unknown
}

/** A message of JSON-RPC as it goes out. */
export type WireMessage = Readonly<Record<string, unknown>> & { readonly jsonrpc: '2.0' }

/** What a stream stands on beside the door. */
export interface ListenOptions {
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly limits: TakenLimits
  readonly streams: Quota
}

/** Texts that are not kept are told at most so often. */
const statusPaceMs = 250

/** Whether a message asks to listen to tasks; other listening is the SDK's. */
export function isTaskListen(message: unknown): message is WireRequest {
  const { method, params } = (message ?? {}) as WireRequest
  if (method !== 'subscriptions/listen') return false
  const { notifications } = (params ?? {}) as { readonly notifications?: { readonly taskIds?: unknown } }
  return notifications?.taskIds !== undefined
}

/** What a filter names beside tasks. */
export type CoreFilter = Readonly<Record<string, unknown>>

/** The error that a request to listen is answered with, or the stream that it opens. */
export async function openListen(
  door: DoorContext,
  options: ListenOptions,
  message: WireRequest,
  authInfo: AuthInfo | undefined,
  honoured: (filter: CoreFilter) => CoreFilter = () => ({}),
): Promise<{ readonly error: WireError } | { readonly stream: ListenStream }> {
  const { params, id } = message
  const { _meta } = (params ?? {}) as { readonly _meta?: Readonly<Record<string, unknown>> }
  if (!declaresTasks(_meta?.[clientCapabilitiesKey])) return { error: missingCapability }
  try {
    await door.life.ready()
    const request: McpRequest = { method: 'subscriptions/listen', ...(authInfo !== undefined && { authInfo }) }
    const caller = callerOf(door, request)
    const isId = typeof id === 'string' || typeof id === 'number'
    if (!isId || !v.is(listenParamsSchema, params))
      return { error: invalidParams('Invalid params: not a filter of tasks') }
    const { taskIds, ...core } = params.notifications
    const found = await Promise.all(
      [...new Set(taskIds)].map(async (taskId) => {
        try {
          const state = await door.life.find(taskId, caller)
          await checkAuthorized(door, 'listen', { taskId, tool: state.payload.tool }, request)
          return state
        } catch (refusal) {
          // Left out in silence: whose it is, and whether it is there, is not told.
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
    return { stream: new ListenStream(door, options, id, states, honoured(core), expiresAtMs, release) }
  } catch (thrown) {
    return { error: wireErrorOf(thrown, door.logger) }
  }
}

/**
 * One stream of notifications: the acknowledgement, the present state of every task, then every change, in order per task. What is
 * not read is queued up to a limit; beyond it only the latest state of each task is kept, so that a slow reader holds nobody up.
 */
export class ListenStream implements Disposable {
  readonly id: string | number
  readonly #door: DoorContext
  readonly #options: ListenOptions
  readonly #followed = new Map<string, Disposable>()
  /** What was told of each task last, so that equal states are told once. */
  readonly #told = new Map<string, string>()
  readonly #paced = new Map<string, Deadline>()
  readonly #lastTextAtMs = new Map<string, number>()
  readonly #release: () => void
  #expiry: Deadline | undefined
  #queue: { readonly taskId?: string; readonly message: WireMessage }[] = []
  #waiting: Deferred<void> | undefined
  #keepsOpen: boolean
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
    this.#release = release
    this.#keepsOpen = Object.keys(core).length > 0
    this.#push(undefined, {
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { ...core, taskIds: states.map(({ taskId }) => taskId) }, _meta: this.#meta },
    })
    for (const state of states) this.#begin(state)
    if (expiresAtMs !== undefined) {
      const leftMs = Math.max(0, expiresAtMs - options.clock.wallNow())
      this.#expiry = options.deadlines.after(leftMs, () => this.end())
    }
    this.#endIfDone()
  }

  /** The next message; `undefined` when the stream is over. One reader at a time. */
  async next(): Promise<WireMessage | undefined> {
    for (;;) {
      const first = this.#queue.shift()
      if (first !== undefined) return first.message
      if (this.#isEnding || this.#isClosed) return undefined
      this.#waiting = createDeferred<void>()
      await this.#waiting.promise
    }
  }

  /** Tells something that is no task. */
  tell(method: string, params: Readonly<Record<string, unknown>> = {}): void {
    this.#push(undefined, { method, params: { ...params, _meta: this.#meta } })
  }

  /** Says that it is over, after what is queued. */
  end(): void {
    if (this.#isEnding || this.#isClosed) return
    this.#push(undefined, { id: this.id, result: { resultType: 'complete', _meta: this.#meta } })
    this.#isEnding = true
    this.#letGo()
  }

  /** The reader is gone. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#queue = []
    if (!this.#isEnding) this.#letGo()
  }

  #letGo(): void {
    for (const following of this.#followed.values()) following[Symbol.dispose]()
    for (const deadline of this.#paced.values()) deadline[Symbol.dispose]()
    this.#followed.clear()
    this.#paced.clear()
    this.#expiry?.[Symbol.dispose]()
    this.#release()
    this.#waiting?.resolve()
  }

  #begin(state: TaskState): void {
    const { taskId } = state
    // Followed first: what happens from now on comes after this.
    if (!hasEnded(state))
      this.#followed.set(
        taskId,
        this.#door.life.follow(state, (next) => this.#onState(next)),
      )
    this.#notify(state)
  }

  #onState(state: TaskState): void {
    if (this.#isEnding || this.#isClosed) return
    this.#notify(state)
    if (!hasEnded(state)) return
    this.#followed.get(state.taskId)?.[Symbol.dispose]()
    this.#followed.delete(state.taskId)
    this.#endIfDone()
  }

  #notify(state: TaskState): void {
    const { taskId, place } = state
    const task = this.#door.life.detailed(state)
    const { statusMessage, ...facts } = task
    const key = JSON.stringify([facts.lastUpdatedAt, facts.status, Object.keys(facts.inputRequests ?? {})])
    const told = this.#told.get(taskId)
    if (told === key + (statusMessage ?? '')) return
    const isTextAlone = told?.startsWith(key) === true && place.value !== 'completed'
    if (isTextAlone && this.#isTooSoon(state)) return
    this.#paced.get(taskId)?.[Symbol.dispose]()
    this.#paced.delete(taskId)
    this.#told.set(taskId, key + (statusMessage ?? ''))
    this.#lastTextAtMs.set(taskId, this.#options.clock.monotonicNow())
    this.#pushTask(task)
    if (hasEnded(state)) {
      this.#told.delete(taskId)
      this.#lastTextAtMs.delete(taskId)
    }
  }

  /** A text that comes too soon is told a little later, unless another one comes first. */
  #isTooSoon(state: TaskState): boolean {
    const { taskId } = state
    const { clock, deadlines } = this.#options
    const leftMs = (this.#lastTextAtMs.get(taskId) ?? 0) + statusPaceMs - clock.monotonicNow()
    if (leftMs <= 0) return false
    if (!this.#paced.has(taskId)) {
      const again = (): void => {
        this.#paced.delete(taskId)
        if (this.#followed.has(taskId)) this.#notify(state)
      }
      this.#paced.set(taskId, deadlines.after(leftMs, again))
    }
    return true
  }

  #pushTask(task: DetailedTask): void {
    const { taskId } = task
    if (this.#queue.length >= this.#options.limits.maxQueuedNotifications) {
      const others = this.#queue.filter((one) => one.taskId !== taskId)
      const latest = new Map(others.flatMap((one) => (one.taskId === undefined ? [] : [[one.taskId, one] as const])))
      this.#queue = others.filter((one) => one.taskId === undefined || latest.get(one.taskId) === one)
    }
    this.#push(taskId, { method: 'notifications/tasks', params: { ...task, _meta: this.#meta } })
  }

  #push(taskId: string | undefined, message: Readonly<Record<string, unknown>>): void {
    if (this.#isEnding || this.#isClosed) return
    this.#queue.push({ ...(taskId !== undefined && { taskId }), message: { jsonrpc: '2.0', ...message } })
    this.#waiting?.resolve()
  }

  #endIfDone(): void {
    if (this.#followed.size === 0 && !this.#keepsOpen) this.end()
  }

  get #meta(): Readonly<Record<string, unknown>> {
    return { [subscriptionIdKey]: this.id }
  }
}
