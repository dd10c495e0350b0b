import type { ToolResult } from './shapes.js'

/** The most bytes kept, for all results together. */
const mostBytes = 64 * 2 ** 20

/**
 * Results serialized as wire JSON, once for each version of a task: a cached task holds the same result object until
 * its log changes. The least recently used are evicted first.
 */
export class SerializedResults {
  readonly #bytes = new Map<ToolResult, Uint8Array<ArrayBuffer>>()
  #total = 0

  /** The result's JSON in UTF-8. Do not write to it. */
  bytesOf(result: ToolResult): Uint8Array<ArrayBuffer> {
    const known = this.#bytes.get(result)
    const bytes = known ?? new TextEncoder().encode(JSON.stringify(result))
    if (known === undefined) this.#total += bytes.length
    else this.#bytes.delete(result)
    this.#bytes.set(result, bytes)
    for (const [oldest, { length }] of this.#bytes) {
      if (this.#total <= mostBytes) break
      this.#bytes.delete(oldest)
      this.#total -= length
    }
    return bytes
  }
}
