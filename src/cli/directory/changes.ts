import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Milliseconds between two looks at a directory. */
const lookPauseMs = 250

/** How the files of a directory look from outside; another text when one of them was written, made or taken away. */
async function appearanceOf(directory: string): Promise<string> {
  const looks = (await readdir(directory)).sort().map(async (name) => {
    try {
      const { size, mtimeNs } = await stat(join(directory, name), { bigint: true })
      return `${name} ${size} ${mtimeNs}`
    } catch {
      // Taken away since it was listed.
      return name
    }
  })
  return (await Promise.all(looks)).join('\n')
}

/** Yields at once, and then whenever the directory has changed, until the signal aborts. */
export async function* changesOf(directory: string, signal: AbortSignal): AsyncIterable<void> {
  let seen: string | undefined
  while (!signal.aborted) {
    const appearance = await appearanceOf(directory)
    if (appearance !== seen) yield
    // What was written while the last change was dealt with is a change.
    seen = appearance
    try {
      await sleep(lookPauseMs, undefined, { signal })
    } catch {
      return
    }
  }
}
