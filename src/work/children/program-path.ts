import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * The file of a program that comes with the library and runs in a process of its own. Published code is bundled, so that
 * this module may stand anywhere below the folder that the programs lie in; it is looked for upwards from here.
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
