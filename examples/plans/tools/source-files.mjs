import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Generated folders. */
const made = new Set(['.git', '.stateward', 'coverage', 'dist', 'dist-bench', 'dist-docs', 'node_modules'])

/** Paths of all files below a folder, sorted, without generated folders. */
export async function sourceFiles(folder = '.') {
  const files = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory() && !made.has(entry.name)) files.push(...(await sourceFiles(path)))
    if (entry.isFile()) files.push(path)
  }
  return files.sort((one, other) => (one < other ? -1 : 1))
}

/** Prints a line that the plan reads progress from. */
export function progress(done, all, message) {
  process.stdout.write(`${Math.floor((100 * done) / all)}% ${message}\n`)
}
