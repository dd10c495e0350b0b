import { closeSync, constants, fstatSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { InvalidInputError } from '../base/errors.js'
import { variablePattern } from './template.js'

/** The environment variable that names the file for a tool's outputs. */
export const outputVariable = 'STATEWARD_OUTPUT'
/** Largest output file, in bytes, and most outputs in it. */
export const maxOutputBytes = 65_536
export const maxOutputs = 100

/** The outputs that a tool passes on, by name. */
export type ToolOutputs = Readonly<Record<string, string>>

/** The file into which a running tool writes its outputs, one `name=value` per line; deleted on disposal. */
export class OutputFile implements Disposable {
  readonly path: string

  /** Creates the file, empty, in an existing directory. */
  constructor(directory: string, operationId: string) {
    this.path = join(directory, operationId)
    writeFileSync(this.path, '')
  }

  /** Reads the outputs that the tool wrote. Raises `invalid_input`. */
  read(): ToolOutputs {
    return parseOutputs(this.#text())
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { force: true, recursive: true })
  }

  /** The tool may have replaced the file by anything: follows no links and does not block. */
  #text(): string {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
    let descriptor: number
    try {
      descriptor = openSync(this.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return ''
      throw refusal('$', 'not a plain file that can be read', { cause })
    }
    try {
      if (!fstatSync(descriptor).isFile()) throw refusal('$', 'not a plain file')
      const bytes = Buffer.alloc(maxOutputBytes + 1)
      const length = readSync(descriptor, bytes, 0, bytes.length, 0)
      if (length > maxOutputBytes) throw refusal('$', `more than ${maxOutputBytes} bytes`)
      return decodeText(bytes.subarray(0, length))
    } finally {
      closeSync(descriptor)
    }
  }
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw refusal('$', 'not UTF-8', { cause })
  }
}

/** Parses lines of `name=value`; the last line of a name wins. Raises `invalid_input`. */
export function parseOutputs(text: string): ToolOutputs {
  const outputs = new Map<string, string>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line === '') continue
    const place = line.indexOf('=')
    const name = line.slice(0, Math.max(0, place))
    const field = `line ${index + 1}`
    if (!variablePattern.test(name)) throw refusal(field, 'expected name=value')
    if (line.includes('\0')) throw refusal(field, 'holds a NUL character')
    outputs.set(name, line.slice(place + 1))
    if (outputs.size > maxOutputs) throw refusal(field, `more than ${maxOutputs} outputs`)
  }
  return Object.fromEntries(outputs)
}

function refusal(field: string, reason: string, options?: ErrorOptions): InvalidInputError {
  return new InvalidInputError({ subject: 'outputs', field, reason }, options)
}
