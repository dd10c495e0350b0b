import { mkdirSync, statSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** How directories are made. */
export interface MakeDirectoryOptions {
  /** The mode of those that are made; 0777 unless told. */
  readonly mode?: number
}

/**
 * Makes a directory and those above it; one that is there is left as it is. Rejects with the error of the system.
 *
 * `mkdir` of Node with `recursive` tries for ever where nothing can be made and the system says that something is missing, as
 * Linux does below `/proc`.
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

/** The same at once. Throws the error of the system. */
export function makeDirectorySync(path: string, options: MakeDirectoryOptions = {}): void {
  for (const folder of withThoseAbove(path)) {
    try {
      mkdirSync(folder, options)
    } catch (cause) {
      if (!isDirectory(folder)) throw cause
    }
  }
}

/** The topmost one first. */
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
