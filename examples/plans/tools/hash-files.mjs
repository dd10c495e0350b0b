/** Usage: hash-files.mjs <list>. Hashes every source file below the working directory. */
import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { progress, sourceFiles } from './source-files.mjs'

const [list] = process.argv.slice(2)
if (list === undefined) throw new Error('name the file to write the list to')

const files = await sourceFiles()
const lines = []
for (const [place, file] of files.entries()) {
  progress(place, files.length, file)
  lines.push(
    `${createHash('sha256')
      .update(await readFile(file))
      .digest('hex')}  ${file}\n`,
  )
}
await mkdir(dirname(list), { recursive: true })
await writeFile(list, lines.join(''))
progress(1, 1, `${files.length} files hashed into ${list}`)
