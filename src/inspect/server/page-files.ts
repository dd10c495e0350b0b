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

/** What the build says of the page: every file, the type of its content and the hash of its bytes. */
const listSchema = strictSchema({
  files: v.array(
    strictSchema({
      /** A plain name, below the folder of the page. */
      name: v.pipe(v.string(), v.regex(/^[\w.-]{1,200}$/)),
      type: v.pipe(v.string(), v.regex(/^[\w.+-]+\/[\w.+-]+(; charset=utf-8)?$/)),
      sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
    }),
  ),
})

/** Where the page is in the package. */
function pageFolder(): string {
  return join(packageFolder(), 'dist', 'inspect-page')
}

/**
 * The files of the page by their names, as the build has listed them in `files.json`: what is not listed is not served, and what is
 * not what it was when the package was built is not either. Read once, when somebody first opens the page. `undefined` where the
 * package was not built.
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
