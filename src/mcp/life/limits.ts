import * as v from 'valibot'
import type { Clock } from '../../base/clock.js'
import { optionsSchema, wholeNumberSchema } from '../../base/options.js'
import { McpError } from './errors.js'

/** Limits of the door. Every field has a default. */
export interface McpLimits {
  /** Live tasks of one principal. Default 100. */
  readonly maxLivePerPrincipal?: number
  /** Live tasks in total. Default 10,000. */
  readonly maxLive?: number
  /** Bytes of a result's JSON. Default 4 MiB. */
  readonly maxResultBytes?: number
  /**
   * Bytes of the arguments' JSON. The maximum and default is 1 MiB minus 16 KiB, because a process is started with
   * them.
   */
  readonly maxArgumentBytes?: number
  /** Bytes of the JSON of the answers in one update. Default 256 KiB. */
  readonly maxAnswerBytes?: number
  /** Open questions of one task. Default 32. */
  readonly maxOpenQuestions?: number
  /** Notification streams of one principal. Default 16. */
  readonly maxStreamsPerPrincipal?: number
  /** Messages queued for a slow reader. Beyond that, only the latest state of each task is kept. Default 256. */
  readonly maxQueuedNotifications?: number
  /**
   * The shortest poll interval of a client for a task, in milliseconds. Up to three early polls in a row are tolerated.
   * Default: no limit.
   */
  readonly minPollMs?: number
}

/** The largest arguments: the limit for starting a process, less what the door itself adds. */
const mostArgumentBytes = 2 ** 20 - 2 ** 14

/** Limits with all defaults filled in. */
export type TakenLimits = Required<Omit<McpLimits, 'minPollMs'>> & Pick<McpLimits, 'minPollMs'>

/** The default limits. */
export const defaultLimits: TakenLimits = {
  maxLivePerPrincipal: 100,
  maxLive: 10_000,
  maxResultBytes: 4 * 2 ** 20,
  maxArgumentBytes: mostArgumentBytes,
  maxAnswerBytes: 256 * 2 ** 10,
  maxOpenQuestions: 32,
  maxStreamsPerPrincipal: 16,
  maxQueuedNotifications: 256,
}

/** Accepts {@link McpLimits}. */
export const limitsSchema = optionsSchema<McpLimits>({
  maxLivePerPrincipal: v.optional(wholeNumberSchema(1)),
  maxLive: v.optional(wholeNumberSchema(1)),
  maxResultBytes: v.optional(wholeNumberSchema(256, 64 * 2 ** 20)),
  maxArgumentBytes: v.optional(wholeNumberSchema(2, mostArgumentBytes)),
  maxAnswerBytes: v.optional(wholeNumberSchema(2, 2 ** 20 - 2 ** 10)),
  maxOpenQuestions: v.optional(wholeNumberSchema(1, 1000)),
  maxStreamsPerPrincipal: v.optional(wholeNumberSchema(1)),
  maxQueuedNotifications: v.optional(wholeNumberSchema(1)),
  minPollMs: v.optional(wholeNumberSchema(1)),
})

/** Bytes of a value's JSON. */
export function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? '')
}

/** Counts how many of something each principal has, and the total. */
export class Quota {
  readonly #perPrincipal: { readonly limit: string; readonly most: number }
  readonly #all: { readonly limit: string; readonly most: number } | undefined
  readonly #counts = new Map<string, number>()
  #total = 0

  constructor(
    perPrincipal: { readonly limit: string; readonly most: number },
    all?: { readonly limit: string; readonly most: number },
  ) {
    this.#perPrincipal = perPrincipal
    this.#all = all
  }

  /** Adds one. Raises `mcp_limit_reached` if the limit is reached. */
  take(principal: string, retryAfterMs: number): void {
    const held = this.#counts.get(principal) ?? 0
    for (const [count, bound] of [
      [held, this.#perPrincipal],
      [this.#total, this.#all],
    ] as const) {
      if (bound !== undefined && count >= bound.most)
        throw new McpError('mcp_limit_reached', { ...bound, retryAfterMs })
    }
    this.add(principal)
  }

  /** Adds one that already exists, regardless of the limit. */
  add(principal: string): void {
    this.#counts.set(principal, (this.#counts.get(principal) ?? 0) + 1)
    this.#total += 1
  }

  /** Removes one. */
  release(principal: string): void {
    const left = (this.#counts.get(principal) ?? 0) - 1
    if (left > 0) this.#counts.set(principal, left)
    else this.#counts.delete(principal)
    this.#total -= 1
  }
}

/** How many early polls in a row are tolerated. */
const toleratedBursts = 3
/** How many tasks' last polls are remembered. */
const mostRemembered = 10_000

/** Slows down clients that poll a task too often. */
export class PollGate {
  readonly #minPollMs: number
  readonly #clock: Pick<Clock, 'monotonicNow'>
  readonly #looks = new Map<string, { atMs: number; early: number }>()

  constructor(minPollMs: number, clock: Pick<Clock, 'monotonicNow'>) {
    this.#minPollMs = minPollMs
    this.#clock = clock
  }

  /** Milliseconds to wait. 0 if the poll is allowed. */
  delayOf(taskId: string): number {
    const nowMs = this.#clock.monotonicNow()
    const look = this.#looks.get(taskId)
    if (look === undefined) {
      if (this.#looks.size >= mostRemembered) this.#looks.delete(this.#looks.keys().next().value as string)
      this.#looks.set(taskId, { atMs: nowMs, early: 0 })
      return 0
    }
    const leftMs = look.atMs + this.#minPollMs - nowMs
    look.early = leftMs > 0 ? look.early + 1 : 0
    if (look.early > toleratedBursts) return leftMs
    look.atMs = nowMs
    return 0
  }
}
