import { randomBytes } from 'node:crypto'
import { chmod, lstat, rename, unlink } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { dirname } from 'node:path'
import { messageOf, StatewardError } from '../../../base/errors.js'
import { makeDirectory } from '../../../base/make-directory.js'
import { AdminError } from '../errors.js'

/** The maximum length of a socket path in bytes: what every system accepts, less the suffix of the temporary name. */
const longestPath = 90

/** The identity of a file, whatever its name. */
interface FileIdentity {
  readonly dev: number
  readonly ino: number
}

/**
 * Ensures that the folder of a socket belongs to us alone: creates it with mode 0700 if missing, and refuses one that
 * other users can enter. Raises `admin.file_exposed`, `admin.file_unusable`, `admin.socket_path_too_long`.
 */
export async function prepareSocketFolder(path: string): Promise<void> {
  if (Buffer.byteLength(path) > longestPath) {
    throw new AdminError('admin.socket_path_too_long', { path, longest: longestPath })
  }
  const folder = dirname(path)
  try {
    await makeDirectory(folder, { mode: 0o700 })
    const stat = await lstat(folder)
    const mode = stat.mode & 0o777
    if (!stat.isDirectory()) throw new AdminError('admin.file_unusable', { path: folder, reason: 'it is no folder' })
    const own = process.getuid?.()
    if (own === undefined) {
      const reason = 'this system has no sockets that belong to a user'
      throw new AdminError('admin.file_unusable', { path, reason })
    }
    const exposed = (reason: string) => new AdminError('admin.file_exposed', { path: folder, reason, mode })
    if (stat.uid !== own) throw exposed(`it belongs to user ${stat.uid}, not to ${own}`)
    if ((mode & 0o077) !== 0) throw exposed('others can enter it')
  } catch (cause) {
    if (StatewardError.is(cause)) throw cause
    throw new AdminError('admin.file_unusable', { path: folder, reason: messageOf(cause) }, { cause })
  }
}

/** Raises `admin.socket_occupied` if the path holds anything but a stale socket at which nobody listens. */
export async function checkVacant(path: string): Promise<void> {
  const refuse = (reason: string): never => {
    throw new AdminError('admin.socket_occupied', { path, reason })
  }
  let stat
  try {
    stat = await lstat(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return
    return refuse(messageOf(cause))
  }
  if (!stat.isSocket()) refuse('something else is there, and is not replaced')
  const answer = await knock(path)
  // It may have disappeared in the meantime.
  if (answer === 'ECONNREFUSED' || answer === 'ENOENT') return
  refuse(answer === undefined ? 'a node listens there already' : `whether a node listens there is not known: ${answer}`)
}

/** Tries to connect. Resolves with `undefined` if somebody accepts, else with the error code. */
function knock(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(undefined)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? messageOf(error)))
  })
}

/** A temporary name in the same folder, for a socket that is being created. */
export function nameBeside(path: string): string {
  return `${path}.${randomBytes(4).toString('hex')}`
}

/**
 * Sets the mode of a socket and renames it to its path in one step, replacing a stale one. Resolves with the identity
 * of the published file.
 */
export async function publishSocket(made: string, path: string): Promise<FileIdentity> {
  await chmod(made, 0o600)
  const { dev, ino } = await lstat(made)
  await rename(made, path)
  return { dev, ino }
}

/** Removes the path if it still refers to this socket. */
export async function removeSocket(path: string, { dev, ino }: FileIdentity): Promise<void> {
  try {
    const found = await lstat(path)
    if (found.dev === dev && found.ino === ino) await unlink(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
  }
}
