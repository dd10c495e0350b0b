/** Usage: list-dependencies.mjs <package-lock.json>. Lists what a lock file installs, by licence. */
import { readFile } from 'node:fs/promises'

const [file] = process.argv.slice(2)
if (file === undefined) throw new Error('name a lock file')

const { packages } = JSON.parse(await readFile(file, 'utf8'))
const byLicence = new Map()
for (const [path, { version, license = 'not stated' }] of Object.entries(packages)) {
  if (path === '') continue
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
  byLicence.set(license, [...(byLicence.get(license) ?? []), `${name} ${version}`])
}
for (const [licence, names] of [...byLicence].sort(([, one], [, other]) => other.length - one.length)) {
  process.stdout.write(`${licence}: ${names.length} packages: ${names.sort().join(', ')}\n`)
}
