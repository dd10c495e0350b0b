/** Assembles lines from the bytes of a stream, buffering no more than the maximum length of one line. */
export class LineReader {
  readonly #mostBytes: number
  readonly #parts: Uint8Array[] = []
  #length = 0

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes
  }

  /**
   * Returns the lines completed by these bytes, without their line ends. `undefined` once a line exceeds the maximum;
   * the rest of the stream cannot be understood then. Raises a `TypeError` for bytes that are not UTF-8.
   */
  take(bytes: Uint8Array): readonly string[] | undefined {
    const lines: string[] = []
    let from = 0
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, from)) {
      if (!this.#keep(bytes.subarray(from, end))) return undefined
      lines.push(this.#line())
      from = end + 1
    }
    return this.#keep(bytes.subarray(from)) ? lines : undefined
  }

  #keep(part: Uint8Array): boolean {
    this.#length += part.length
    if (this.#length > this.#mostBytes) return false
    if (part.length > 0) this.#parts.push(part)
    return true
  }

  #line(): string {
    const line = decoder.decode(Buffer.concat(this.#parts, this.#length))
    this.#parts.length = 0
    this.#length = 0
    return line
  }
}

const newline = 0x0a
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
