import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { messageOf, StatewardError } from '../../base/errors.js'
import { AdminError } from './errors.js'

/** What users other than the owner may do with a file. */
export type Privacy =
  /** They may neither read nor change it: it holds a secret. */
  | 'secret'
  /** They may read but not change it: it says whom to trust. */
  | 'trusted'

const readableByOthers = 0o044
const writableByOthers = 0o022
const forbidden: Readonly<Record<Privacy, number>> = {
  secret: 0o077,
  trusted: writableByOthers,
}

/**
 * Reads a file that other users must not be able to read or change, at most `maxBytes` of it. The checks are made on
 * the open file, so that it cannot be swapped in between; symbolic links are not followed. On systems without file
 * owners (Windows) only the access rights of the folder protect it.
 *
 * Raises `admin.file_unusable`, and `admin.file_exposed` when another user owns it or its mode is too open.
 */
export async function readPrivateFile(path: string, privacy: Privacy, maxBytes: number): Promise<string> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    await checkPrivate(file, path, privacy)
    return await readAll(file, path, maxBytes)
  } catch (cause) {
    throw unusable(path, cause)
  }
}

/**
 * Writes a new file that only its owner can read (mode 0600), durably. An existing file is never overwritten.
 *
 * Raises `admin.file_exists` and `admin.file_unusable`.
 */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  try {
    await using file = await open(path, 'wx', 0o600)
    // Restores the owner's rights in case the umask of the process removed them.
    await file.chmod(0o600)
    await file.writeFile(text)
    await file.sync()
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST')
      throw new AdminError('admin.file_exists', { path }, { cause })
    throw unusable(path, cause)
  }
}

async function checkPrivate(file: FileHandle, path: string, privacy: Privacy): Promise<void> {
  const stat = await file.stat()
  const mode = stat.mode & 0o777
  const refuse = (reason: string): never => {
    throw new AdminError('admin.file_exposed', { path, reason, mode })
  }
  if (!stat.isFile()) throw new AdminError('admin.file_unusable', { path, reason: 'it is no file' })
  const own = process.getuid?.()
  if (own === undefined) return
  // The superuser can change any file anyway.
  const owners = privacy === 'trusted' ? [own, 0] : [own]
  if (!owners.includes(stat.uid)) refuse(`it belongs to user ${stat.uid}, not to ${own}`)
  const granted = mode & forbidden[privacy]
  if (granted === 0) return
  refuse((granted & readableByOthers) !== 0 && privacy === 'secret' ? 'others can read it' : 'others can change it')
}

async function readAll(file: FileHandle, path: string, maxBytes: number): Promise<string> {
  const buffer = Buffer.alloc(maxBytes + 1)
  let length = 0
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, null)
    if (bytesRead === 0) return buffer.toString('utf8', 0, length)
    length += bytesRead
  }
  throw new AdminError('admin.file_unusable', { path, reason: `it has more than ${maxBytes} bytes` })
}

function unusable(path: string, cause: unknown): unknown {
  if (StatewardError.is(cause)) return cause
  const { code } = cause as NodeJS.ErrnoException
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    ELOOP: 'it is a symbolic link, and none is followed',
    EACCES: 'it may not be opened',
  }
  const reason = (code !== undefined && reasons[code]) || messageOf(cause)
  return new AdminError('admin.file_unusable', { path, reason }, { cause })
}
