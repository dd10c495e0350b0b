import type { Clock } from './clock.js'

/** Milliseconds that an owner may run within one turn of the event loop before it has to yield. */
const longestShareMs = 10

/** How often an owner may ask within one turn while its clock stands still, as a simulated one does. */
const mostAsks = 1000

/** How many waiting callers continue in one turn. */
const perTurn = 64

/**
 * Limits how long one owner runs within a turn of the event loop.
 *
 * Promise callbacks run one after another before any timer or input is handled. Work that waits for neither, as all
 * work in memory does, has to yield on its own. This class says when to yield, and resumes the work in a later turn.
 */
export class LoopShare {
  readonly #clock: Pick<Clock, 'monotonicNow'>
  /** When the owner first asked in this turn, in monotonic milliseconds. */
  #since: number | undefined
  #askedAt: number | undefined
  /** How often the owner has asked at the same time. */
  #asks = 0
  #waiting: (() => void)[] = []

  constructor(clock: Pick<Clock, 'monotonicNow'>) {
    this.#clock = clock
  }

  /** True when the owner has used up its share of this turn and should yield. */
  get isUsedUp(): boolean {
    if (this.#waiting.length > 0) return true
    const now = this.#clock.monotonicNow()
    const since = this.#since ?? this.#begin(now)
    this.#asks = now === this.#askedAt ? this.#asks + 1 : 1
    this.#askedAt = now
    return now - since >= longestShareMs || this.#asks > mostAsks
  }

  /** Calls back in a later turn, first come, first served. */
  nextTurn(goOn: () => void): void {
    this.#waiting.push(goOn)
    if (this.#since === undefined) this.#begin(this.#clock.monotonicNow())
  }

  /** Resolves in a later turn, first come, first served. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.nextTurn(resolve))
  }

  #begin(now: number): number {
    setImmediate(this.#onTurn)
    this.#since = now
    return now
  }

  readonly #onTurn = (): void => {
    this.#since = undefined
    this.#asks = 0
    const first = this.#waiting.splice(0, perTurn)
    if (this.#waiting.length > 0) this.#begin(this.#clock.monotonicNow())
    for (const goOn of first) goOn()
  }
}

/**
 * Calls `visit` for each item in order, and yields to the event loop whenever the share of a turn is used up. Stops
 * and rejects if the iteration or `visit` throws.
 */
export async function visitInTurns<Item>(
  items: Iterable<Item>,
  share: LoopShare,
  visit: (item: Item) => void,
): Promise<void> {
  for (const item of items) {
    while (share.isUsedUp) await share.turn()
    visit(item)
  }
}
