import type { JsonObject } from '../../../src/base/json.js'
import type { Lane } from '../../../src/lane/lane.js'
import type { LaneStream, Staged } from '../../../src/lane/types.js'

/** Refused by {@link Tally.add} when the sum would exceed the limit. */
export class TooMuch extends Error {}

/** A tiny room: a sum that must not exceed a limit, with an overlay of what is under way. */
export class Tally implements LaneStream {
  readonly name: string
  readonly limit: number
  /** Everything the lane did to this stream, in order. */
  readonly log: string[] = []
  /** Committed and published. */
  sum = 0
  /** Thrown while committing the addition with this amount. */
  breaksAt: number | undefined
  /** Thrown by the next capture. */
  captureFails: Error | undefined
  #staged = 0

  constructor(name = 'tally', limit = 10) {
    this.name = name
    this.limit = limit
  }

  /** The sum with everything that is under way. */
  get seen(): number {
    return this.sum + this.#staged
  }

  add(lane: Lane, amount: number): Promise<number> {
    return lane.submit(this, () => this.stage(amount))
  }

  /** An addition that is visible at once. */
  note(lane: Lane, amount: number): void {
    this.sum += amount
    lane.note(this, { type: 'noted', amount })
  }

  stage(amount: number, facts: readonly JsonObject[] = [{ type: 'added', amount }]): Staged<number> {
    if (this.seen + amount > this.limit) throw new TooMuch(`${this.seen} + ${amount} > ${this.limit}`)
    this.#staged += amount
    return {
      facts,
      commit: () => {
        this.log.push(`commit ${amount}`)
        if (amount === this.breaksAt) throw new Error(`the commit of ${amount} broke`)
        this.#staged -= amount
        this.sum += amount
        return this.sum
      },
      discard: () => {
        this.log.push(`discard ${amount}`)
        this.#staged -= amount
      },
      publish: () => this.log.push(`publish ${amount}`),
    }
  }

  restore(row: JsonObject): void {
    this.sum = Number(row['sum'])
    this.log.push(`restore ${this.sum}`)
  }

  replay(fact: JsonObject): void {
    const amount = Number(fact['amount'])
    this.sum += amount
    this.log.push(`replay ${amount}`)
  }

  capture(): Iterable<JsonObject> {
    if (this.captureFails !== undefined) throw this.captureFails
    return [{ sum: this.sum }]
  }
}
