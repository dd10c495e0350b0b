import type { ProcessStore } from '../../../../src/processes/index.js'

/** A store as one host sees it: until the host is killed, when nothing more comes of its calls. */
export class MortalStore {
  readonly store: ProcessStore
  #underWay = 0
  #isDead = false

  constructor(inner: ProcessStore) {
    this.store = new Proxy(inner, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target)
        if (typeof value !== 'function' || key === 'durabilityTier' || key === 'isHolderDead') return value
        return (...args: unknown[]) => this.#call(() => value.apply(target, args) as Promise<unknown>)
      },
    })
  }

  /** Nothing more is heard of the host. */
  kill(): void {
    this.#isDead = true
  }

  /** Resolves once nothing is under way any more. */
  async settled(): Promise<void> {
    for (let quiet = 0; quiet < 10; quiet += 1) {
      await new Promise(setImmediate)
      if (this.#underWay > 0) quiet = -1
    }
  }

  async #call(call: () => Promise<unknown>): Promise<unknown> {
    if (this.#isDead) return new Promise(() => {})
    this.#underWay += 1
    try {
      return await call()
    } finally {
      this.#underWay -= 1
    }
  }
}
