/** What a slot is asked for. */
export interface SlotClaim {
  readonly kind: string
  /** Work with the same key shares a limit, whatever its kind. */
  readonly key?: string
}

/** The part of `Slots` that a slot needs. */
export interface SlotOwner {
  giveBack(claim: SlotClaim, isKeyKept: boolean): void
  freeKey(claim: SlotClaim): void
  takeAgain(claim: SlotClaim, arrival: number, isKeyKept: boolean, signal: AbortSignal | undefined): Promise<void>
}

/** The right to run, taken from `Slots`. */
export class Slot implements Disposable {
  readonly #slots: SlotOwner
  readonly #claim: SlotClaim
  readonly #arrival: number
  #state: 'taken' | 'given_back' | 'released' = 'taken'
  #isKeyKept = false

  /** @internal */
  constructor(slots: SlotOwner, claim: SlotClaim, arrival: number) {
    this.#slots = slots
    this.#claim = claim
    this.#arrival = arrival
  }

  /** True while its owner may run. */
  get isTaken(): boolean {
    return this.#state === 'taken'
  }

  /**
   * Lets others run while its owner waits for something. `keepKey` keeps others of the same key from starting
   * meanwhile.
   */
  giveBack({ keepKey = false }: { readonly keepKey?: boolean } = {}): void {
    if (this.#state !== 'taken') return
    this.#state = 'given_back'
    this.#isKeyKept = keepKey
    this.#slots.giveBack(this.#claim, keepKey)
  }

  /** Resolves once the owner may continue. Rejects with the signal's reason, or `slots_closed`. */
  async takeAgain({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#state !== 'given_back') return
    await this.#slots.takeAgain(this.#claim, this.#arrival, this.#isKeyKept, signal)
    // It was released while it waited.
    if (this.#state !== 'given_back') return this.#slots.giveBack(this.#claim, this.#isKeyKept)
    this.#isKeyKept = false
    this.#state = 'taken'
  }

  /** Gives the slot back while `wait` runs, and takes it again before the result is passed on. */
  async during<Result>(
    wait: () => Result | PromiseLike<Result>,
    { keepKey = false, signal }: { readonly keepKey?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<Result> {
    this.giveBack({ keepKey })
    try {
      return await wait()
    } finally {
      await this.takeAgain(signal === undefined ? {} : { signal })
    }
  }

  /**
   * Gives the slot back for good. `keepKey` keeps the key taken until {@link Slot.freeKey}. Calling it again does
   * nothing.
   */
  release({ keepKey = false }: { readonly keepKey?: boolean } = {}): void {
    const before = this.#state
    if (before === 'released') return
    this.#state = 'released'
    if (before === 'taken') {
      this.#isKeyKept = keepKey
      this.#slots.giveBack(this.#claim, keepKey)
    } else if (!keepKey) this.freeKey()
  }

  /** Releases a key that was kept. */
  freeKey(): void {
    if (!this.#isKeyKept) return
    this.#isKeyKept = false
    this.#slots.freeKey(this.#claim)
  }

  [Symbol.dispose](): void {
    this.release()
  }
}
