import type { ToolResult } from './shapes.js'

/** Bytes that are kept at most, all results together. */
const mostBytes = 64 * 2 ** 20

/**
 * Results as the JSON that goes over the wire, serialized once for each version of a task: a remembered task holds the same result
 * object until its log goes on. What was asked for longest ago is let go first.
 */
export class SerializedResults {
  readonly #bytes = new Map<ToolResult, Uint8Array<ArrayBuffer>>()
  #total = 0

  /** The UTF-8 of a result's JSON. Not to be written to. */
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
