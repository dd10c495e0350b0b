import { decode } from '../base/decode.js'
import type { Clock, TimeoutHandle } from '../base/clock.js'
import { DeadlineQueue, type Deadline } from '../base/deadline-queue.js'
import { numberSchema } from '../base/options.js'

/** The latest time that a `Date` can hold, in epoch milliseconds. */
const latestInstant = 8.64e15
const instantSchema = numberSchema(0, latestInstant)
const distanceSchema = numberSchema(0, latestInstant)

/**
 * A clock that moves only when told to. Timeouts fire synchronously, in the order of their due times, while {@link
 * SimulatedClock.advance} passes them.
 */
export class SimulatedClock implements Clock {
  #wall: number
  #monotonic = 0
  #target = 0
  #wake: (() => void) | undefined
  readonly #timeouts: DeadlineQueue

  /** Starts at `wall`, in epoch milliseconds. */
  constructor(wall = Date.UTC(2026, 0, 1)) {
    this.#wall = decode(instantSchema, wall, 'epoch milliseconds')
    this.#timeouts = new DeadlineQueue({
      wallNow: () => this.#wall,
      monotonicNow: () => this.#target,
      setTimeout: (callback) => {
        this.#wake = callback
        return callback
      },
      clearTimeout: () => {
        this.#wake = undefined
      },
    })
  }

  /** Number of pending timeouts; 0 proves that no timer was left behind. */
  get pendingTimeouts(): number {
    return this.#timeouts.size
  }

  wallNow(): number {
    return this.#wall
  }

  monotonicNow(): number {
    return this.#monotonic
  }

  setTimeout(callback: () => void, delay: number): TimeoutHandle {
    return this.#timeouts.at(this.#monotonic + Math.max(0, delay), callback)
  }

  clearTimeout(handle: TimeoutHandle): void {
    ;(handle as Deadline)[Symbol.dispose]()
  }

  /** Moves the wall clock and the monotonic clock forward by `milliseconds`, firing the timeouts that become due. */
  advance(milliseconds: number): void {
    decode(distanceSchema, milliseconds, 'milliseconds to advance')
    const end = this.#monotonic + milliseconds
    for (let due = this.#timeouts.nextDueAt; due !== undefined && due <= end; due = this.#timeouts.nextDueAt) {
      this.#moveTo(Math.max(due, this.#monotonic))
      this.#wake?.()
    }
    this.#moveTo(end)
  }

  /** Sets the wall clock to this epoch time, forwards or backwards, without moving the monotonic clock. */
  setWall(epochMilliseconds: number): void {
    this.#wall = decode(instantSchema, epochMilliseconds, 'epoch milliseconds')
  }

  #moveTo(instant: number): void {
    this.#wall += instant - this.#monotonic
    this.#monotonic = instant
    this.#target = instant
  }
}
