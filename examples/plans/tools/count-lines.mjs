/** Usage: count-lines.mjs. Counts the source files below the working directory by kind. */
import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { progress, sourceFiles } from './source-files.mjs'

const newline = 10
const kinds = new Map()
const files = await sourceFiles()
for (const [place, file] of files.entries()) {
  progress(place, files.length, file)
  const bytes = await readFile(file)
  const kind = extname(file) || 'other'
  const sum = kinds.get(kind) ?? { files: 0, lines: 0, bytes: 0 }
  sum.files += 1
  sum.bytes += bytes.length
  for (const byte of bytes) if (byte === newline) sum.lines += 1
  kinds.set(kind, sum)
}
progress(1, 1, `${files.length} files counted`)
for (const [kind, { files: count, lines, bytes }] of [...kinds].sort(([, one], [, other]) => other.lines - one.lines)) {
  process.stdout.write(`${kind}: ${count} files, ${lines} lines, ${bytes} bytes\n`)
}
