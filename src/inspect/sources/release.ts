import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'

/** The folder of this package, wherever its parts were bundled. */
export function packageFolder(): string {
  return dirname(createRequire(import.meta.url).resolve('stateward/package.json'))
}

let known: string | undefined

/** The release of this package. */
export function release(): string {
  known ??= (JSON.parse(readFileSync(`${packageFolder()}/package.json`, 'utf8')) as { readonly version: string })
    .version
  return known
}
