import { mkdirSync, statSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** How directories are made. */
export interface MakeDirectoryOptions {
  /** The mode of the directories that are created; 0777 by default. */
  readonly mode?: number
}

/**
 * Creates a directory and its parents; existing ones are left as they are. Rejects with the system's error.
 *
 * Node's own `mkdir` with `recursive` never ends where the system answers every attempt with "no such file", as Linux
 * does below `/proc`.
 */
export async function makeDirectory(path: string, options: MakeDirectoryOptions = {}): Promise<void> {
  for (const folder of withThoseAbove(path)) {
    try {
      await mkdir(folder, options)
    } catch (cause) {
      const found = await stat(folder).catch(() => undefined)
      if (found?.isDirectory() !== true) throw cause
    }
  }
}

/** The synchronous form of {@link makeDirectory}. Throws the system's error. */
export function makeDirectorySync(path: string, options: MakeDirectoryOptions = {}): void {
  for (const folder of withThoseAbove(path)) {
    try {
      mkdirSync(folder, options)
    } catch (cause) {
      if (!isDirectory(folder)) throw cause
    }
  }
}

/** The directory and its parents, topmost first. */
function withThoseAbove(path: string): readonly string[] {
  const folders = [resolve(path)]
  for (let folder = resolve(path); folder !== dirname(folder); folder = dirname(folder))
    folders.unshift(dirname(folder))
  return folders
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
