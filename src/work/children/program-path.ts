import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * The file of a program that is shipped with the library and runs in its own process. Published code is bundled, so
 * this module may be at any depth below the folder of the programs; they are searched for upwards from here.
 */
export function programPath(name: 'supervisor' | 'reaper'): string {
  const here = fileURLToPath(import.meta.url)
  const beside = join(dirname(here), `${name}.js`)
  for (let folder = dirname(here); folder !== dirname(folder); folder = dirname(folder)) {
    const published = join(folder, 'src/work/children', `${name}.js`)
    if (existsSync(published)) return published
  }
  return beside
}
