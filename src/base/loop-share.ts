import type { Clock } from './clock.js'

/** Milliseconds of one turn of the event loop that an owner may take before it steps back. */
const longestShareMs = 10

/** How many of those who wait go on in one turn. */
const perTurn = 64

/**
 * What one owner may take of a turn of the event loop.
 *
 * Promise callbacks run one after another before any timer or input has its turn. Work that never waits for either, as
 * everything does that stays in memory, has to step back by itself; this says when, and when to go on.
 */
export class LoopShare {
  readonly #clock: Pick<Clock, 'monotonicNow'>
  /** When the owner first asked in this turn. */
  #since: number | undefined
  #waiting: (() => void)[] = []

  constructor(clock: Pick<Clock, 'monotonicNow'>) {
    this.#clock = clock
  }

  /** True when the owner has had its share of this turn. */
  get isUsedUp(): boolean {
    const now = this.#clock.monotonicNow()
    return this.#waiting.length > 0 || now - (this.#since ?? this.#begin(now)) >= longestShareMs
  }

  /** Calls back in a later turn, first come, first served. */
  nextTurn(goOn: () => void): void {
    this.#waiting.push(goOn)
    this.#begin(this.#clock.monotonicNow())
  }

  /** Resolves in a later turn, first come, first served. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.nextTurn(resolve))
  }

  #begin(now: number): number {
    if (this.#since === undefined) setImmediate(this.#onTurn)
    this.#since ??= now
    return this.#since
  }

  readonly #onTurn = (): void => {
    this.#since = undefined
    const first = this.#waiting.splice(0, perTurn)
    if (this.#waiting.length > 0) this.#begin(this.#clock.monotonicNow())
    for (const goOn of first) goOn()
  }
}

/**
 * Hands `items` to `visit` one after another, and lets everything else run whenever the share of a turn is used up. What an
 * item or `visit` throws ends it and rejects.
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
