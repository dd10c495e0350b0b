import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { strictSchema } from '../../base/options.js'
import { packageFolder } from '../sources/release.js'

/** A file of the page. */
export interface PageFile {
  readonly type: string
  readonly bytes: Buffer
  readonly etag: string
}

/** The build's list of files: for each the content type and the hash of its bytes. */
const listSchema = strictSchema({
  files: v.array(
    strictSchema({
      /** A plain name, directly in the folder of the page. */
      name: v.pipe(v.string(), v.regex(/^[\w.-]{1,200}$/)),
      type: v.pipe(v.string(), v.regex(/^[\w.+-]+\/[\w.+-]+(; charset=utf-8)?$/)),
      sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
    }),
  ),
})

/** The folder of the page in the package. */
function pageFolder(): string {
  return join(packageFolder(), 'dist', 'inspect-page')
}

/**
 * The files of the page by name, as the build listed them in `files.json`. Files that are not listed, or that have
 * changed since the build, are not served. Read once, when the page is first opened. `undefined` if the package was not
 * built.
 */
export function readPageFiles(folder: string = pageFolder()): ReadonlyMap<string, PageFile> | undefined {
  let text: string
  try {
    text = readFileSync(join(folder, 'files.json'), 'utf8')
  } catch {
    return undefined
  }
  const { files } = decode(listSchema, JSON.parse(text), 'list of the page')
  const found = new Map<string, PageFile>()
  for (const { name, type, sha256 } of files) {
    const bytes = readFileSync(join(folder, name))
    const hash = createHash('sha256').update(bytes).digest('hex')
    if (hash === sha256) found.set(name, { type, bytes, etag: `"${hash.slice(0, 32)}"` })
  }
  return found
}
