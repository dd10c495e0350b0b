import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const cache = join(projectAbove(import.meta.dirname), 'node_modules', '.cache', 'stateward-packages')

/** Returns the folder of a package in this version, fetched from the registry the first time; `only` is all that is unpacked. */
export async function fetchPackage(name: string, version: string, only: readonly string[] = []): Promise<string> {
  const place = join(cache, `${name}-${version}`)
  const unpacked = join(place, 'package')
  if (await isThere(unpacked)) return unpacked
  // A name may have a scope.
  await mkdir(dirname(place), { recursive: true })
  const draft = await mkdtemp(join(cache, 'draft-'))
  try {
    const { stdout } = await run('npm', ['pack', `${name}@${version}`, '--silent'], { cwd: draft })
    const tarball = stdout.trim()
    await run('tar', ['xzf', tarball, ...only.map((path) => `package/${path}`)], { cwd: draft })
    await rm(join(draft, tarball))
    // Two runs may fetch at once; the second finds the place taken by the same content.
    await rename(draft, place).catch(async (error: unknown) => {
      if (!(await isThere(unpacked))) throw error
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return unpacked
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

/** The folder of the project, whether this runs as it was written or compiled into a folder below. */
function projectAbove(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : projectAbove(dirname(folder))
}
