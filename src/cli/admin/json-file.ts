import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { InvalidInputError, messageOf, StatewardError } from '../../base/errors.js'

/** Raised with code `file_unusable` for a file that does not exist, or cannot be read or written. */
export class FileError extends StatewardError<'file_unusable', { readonly file: string }> {
  override readonly name = 'FileError'

  constructor(file: string, reason: string, options?: ErrorOptions) {
    super('file_unusable', `${file}: ${reason}`, { file }, options)
  }
}

/** True if the argument is JSON itself rather than a file name. */
export function isJsonText(source: string): boolean {
  return source.trimStart().startsWith('{')
}

/**
 * Reads JSON: a file of at most `maxBytes` bytes, or the argument itself if it is an object. Raises `file_unusable`,
 * `invalid_input`.
 */
export async function readJson(source: string, maxBytes: number): Promise<unknown> {
  const isText = isJsonText(source)
  const text = isText ? source : await readText(source, maxBytes)
  try {
    return JSON.parse(text)
  } catch (cause) {
    const subject = isText ? 'JSON on the command line' : source
    throw new InvalidInputError({ subject, field: '$', reason: `not JSON: ${messageOf(cause)}` }, { cause })
  }
}

/** Writes a value to a file atomically. Raises `file_unusable`. */
export async function writeJson(file: string, value: unknown): Promise<void> {
  const made = `${file}.${process.pid}.new`
  try {
    await writeFile(made, `${JSON.stringify(value, undefined, 2)}\n`, { flag: 'wx' })
    await sync(made)
    await rename(made, file)
  } catch (cause) {
    await rm(made, { force: true })
    throw new FileError(file, messageOf(cause), { cause })
  }
}

async function readText(file: string, maxBytes: number): Promise<string> {
  let size: number
  try {
    ;({ size } = await stat(file))
    if (size <= maxBytes) return await readFile(file, 'utf8')
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    throw new FileError(file, isMissing ? 'there is no such file' : messageOf(cause), { cause })
  }
  throw new FileError(file, `${size} bytes exceed the limit of ${maxBytes}`)
}

async function sync(file: string): Promise<void> {
  await using handle = await open(file, 'r+')
  await handle.sync()
}
