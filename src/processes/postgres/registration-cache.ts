import type { Registered } from '../registration.js'

interface Kept {
  readonly hash: string
  readonly registered: Registered
  readonly size: number
}

/**
 * Registrations that were read before. They never change under their id and hash, so that neither they nor what is made of
 * them is read and checked again with every event. Those used longest ago go first.
 */
export class RegistrationCache {
  readonly #kept = new Map<string, Kept>()
  readonly #limit: number
  #size = 0

  /** Keeps as many as are made of so many characters together. */
  constructor(limit: number) {
    this.#limit = limit
  }

  get(processId: string, hash: string): Registered | undefined {
    const found = this.#kept.get(processId)
    if (found?.hash !== hash) return undefined
    this.#kept.delete(processId)
    this.#kept.set(processId, found)
    return found.registered
  }

  set(registered: Registered, hash: string, size: number): void {
    const old = this.#kept.get(registered.id)
    if (old !== undefined) this.#remove(registered.id, old)
    if (size > this.#limit) return
    this.#kept.set(registered.id, { hash, registered, size })
    this.#size += size
    for (const [id, kept] of this.#kept) {
      if (this.#size <= this.#limit) return
      this.#remove(id, kept)
    }
  }

  #remove(id: string, { size }: Kept): void {
    this.#kept.delete(id)
    this.#size -= size
  }
}
