/** Lists the files of the inspector's page: what is not listed, or not what it was, is not served. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'

const types = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

/** Writes `files.json` beside the files that are in a folder. */
export function writePageList(folder) {
  const names = readdirSync(folder).filter((name) => name !== 'files.json')
  const files = names.sort().map((name) => {
    const type = types[extname(name)]
    if (type === undefined) throw new Error(`nobody knows what ${name} is`)
    const sha256 = createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex')
    return { name, type, sha256 }
  })
  writeFileSync(join(folder, 'files.json'), `${JSON.stringify({ files }, undefined, 2)}\n`)
}
