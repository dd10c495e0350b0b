import { randomBytes } from 'node:crypto'
import { chmod, lstat, rename, unlink } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { dirname } from 'node:path'
import { messageOf, StatewardError } from '../../../base/errors.js'
import { makeDirectory } from '../../../base/make-directory.js'
import { AdminError } from '../errors.js'

/** The longest path of a socket, in bytes: what every system takes, without what a name has in addition while it is made. */
const longestPath = 90

/** A file as the system knows it, whatever name leads there. */
interface FileIdentity {
  readonly dev: number
  readonly ino: number
}

/**
 * Makes sure that the folder of a socket is ours alone: makes it with mode 0700 where there is none, and refuses one that somebody
 * else could enter. Raises `admin.file_exposed`, `admin.file_unusable`, `admin.socket_path_too_long`.
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

/** Raises `admin.socket_occupied` when anything but a socket that nobody listens at any more stands there. */
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
  // It may have gone since.
  if (answer === 'ECONNREFUSED' || answer === 'ENOENT') return
  refuse(answer === undefined ? 'a node listens there already' : `whether a node listens there is not known: ${answer}`)
}

/** `undefined` when somebody opens, else the code of why nobody does. */
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

/** A name beside the path, for a socket on its way there. */
export function nameBeside(path: string): string {
  return `${path}.${randomBytes(4).toString('hex')}`
}

/** Gives a socket its mode and its name in one step, in place of a stale one. Answers with what now stands there. */
export async function publishSocket(made: string, path: string): Promise<FileIdentity> {
  await chmod(made, 0o600)
  const { dev, ino } = await lstat(made)
  await rename(made, path)
  return { dev, ino }
}

/** Takes the name away if it still leads to this socket. */
export async function removeSocket(path: string, { dev, ino }: FileIdentity): Promise<void> {
  try {
    const found = await lstat(path)
    if (found.dev === dev && found.ino === ino) await unlink(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
  }
}
