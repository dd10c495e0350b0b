import * as v from 'valibot'
import type { Clock } from '../../base/clock.js'
import { optionsSchema, wholeNumberSchema } from '../../base/options.js'
import { McpError } from './errors.js'

/** What the door holds at most; every field has a default. */
export interface McpLimits {
  /** Tasks of one principal that have not ended. Default 100. */
  readonly maxLivePerPrincipal?: number
  /** Tasks of all that have not ended. Default 10,000. */
  readonly maxLive?: number
  /** Bytes of the JSON of a result. Default 4 MiB. */
  readonly maxResultBytes?: number
  /** Bytes of the JSON of arguments, at most what a process can be started with. Default that: 1 MiB without 16 KiB. */
  readonly maxArgumentBytes?: number
  /** Bytes of the JSON of the answers of one update. Default 256 KiB. */
  readonly maxAnswerBytes?: number
  /** Questions of one task that are open. Default 32. */
  readonly maxOpenQuestions?: number
  /** Streams of one principal. Default 16. */
  readonly maxStreamsPerPrincipal?: number
  /** Messages that wait for a reader who is slow; beyond that only the latest state of each task is kept. Default 256. */
  readonly maxQueuedNotifications?: number
  /** Milliseconds that a client has to leave between two looks at a task, three in a row let pass. Default: as few as it likes. */
  readonly minPollMs?: number
}

/** The largest arguments: what a process is registered with has a limit, and the door needs some of it. */
const mostArgumentBytes = 2 ** 20 - 2 ** 14

/** Limits that are complete. */
export type TakenLimits = Required<Omit<McpLimits, 'minPollMs'>> & Pick<McpLimits, 'minPollMs'>

/** What holds where nothing is said. */
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

/** Bytes of a value as JSON. */
export function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? '')
}

/** How many of something each principal holds, and all of them together. */
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

  /** One more; raises `mcp_limit_reached` when there is no room for it. */
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

  /** One more that is there already, whatever the limit says. */
  add(principal: string): void {
    this.#counts.set(principal, (this.#counts.get(principal) ?? 0) + 1)
    this.#total += 1
  }

  /** One less. */
  release(principal: string): void {
    const left = (this.#counts.get(principal) ?? 0) - 1
    if (left > 0) this.#counts.set(principal, left)
    else this.#counts.delete(principal)
    this.#total -= 1
  }
}

/** How often in a row somebody may ask too early. */
const toleratedBursts = 3
/** Tasks whose last look is remembered. */
const mostRemembered = 10_000

/** Holds those back who look at a task again and again. */
export class PollGate {
  readonly #minPollMs: number
  readonly #clock: Pick<Clock, 'monotonicNow'>
  readonly #looks = new Map<string, { atMs: number; early: number }>()

  constructor(minPollMs: number, clock: Pick<Clock, 'monotonicNow'>) {
    this.#minPollMs = minPollMs
    this.#clock = clock
  }

  /** Milliseconds to wait; 0 when the look is let pass. */
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
