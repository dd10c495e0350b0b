import { StringDecoder } from 'node:string_decoder'

/** Maximum length of a line, in UTF-16 units. The rest of a longer line is dropped. */
export const maxLineLength = 4096

/** Splits a stream of bytes into lines without their ends (`\n`, `\r\n`, or a `\r` that redraws the line). */
export class LineSplitter {
  readonly #onLine: (line: string) => void
  readonly #decoder = new StringDecoder('utf8')
  #line = ''

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  /** Adds bytes. Passes complete lines on at once. */
  push(bytes: Buffer): void {
    this.#take(this.#decoder.write(bytes))
  }

  /** Passes on the text after the last line end, if any. */
  end(): void {
    this.#take(this.#decoder.end())
    this.#finishLine()
  }

  #take(text: string): void {
    const [rest = '', ...starts] = text.split(/\r?\n|\r/)
    this.#extendLine(rest)
    for (const start of starts) {
      this.#finishLine()
      this.#extendLine(start)
    }
  }

  #extendLine(text: string): void {
    if (this.#line.length < maxLineLength) this.#line += text.slice(0, maxLineLength - this.#line.length)
  }

  #finishLine(): void {
    // Also skips the empty line between the halves of a `\r\n` that was split between two chunks.
    if (this.#line !== '') this.#onLine(this.#line)
    this.#line = ''
  }
}

/** Keeps the last bytes of a stream, and counts all of them. */
export class OutputTail {
  readonly #limit: number
  #chunks: Buffer[] = []
  #kept = 0
  #total = 0

  /** Keeps up to `limit` bytes. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Number of bytes so far. */
  get total(): number {
    return this.#total
  }

  push(bytes: Buffer): void {
    this.#total += bytes.length
    this.#chunks.push(bytes)
    this.#kept += bytes.length
    if (this.#kept > 2 * this.#limit) this.#compact()
  }

  /** The kept bytes as text. Never begins in the middle of a character. */
  toString(): string {
    this.#compact()
    const [bytes = Buffer.alloc(0)] = this.#chunks
    let start = 0
    if (this.#total > bytes.length) while (start < bytes.length && isContinuation(bytes[start])) start += 1
    return bytes.toString('utf8', start)
  }

  #compact(): void {
    const all = Buffer.concat(this.#chunks)
    // A copy, so that the tail does not keep the whole large chunk in memory.
    const last = Buffer.from(all.subarray(Math.max(0, all.length - this.#limit)))
    this.#chunks = [last]
    this.#kept = last.length
  }
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}
