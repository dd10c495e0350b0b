import { StatewardError } from '../base/errors.js'

/** What was being done when a {@link FileSystemError} arose. */
export type FileOperation =
  | 'open'
  | 'read'
  /** The bytes were refused: nothing is known about those of this call, but no promise of durability was broken. */
  | 'write'
  /** Bytes taken earlier may or may not be on stable storage, and asking again would not tell. */
  | 'sync'
  | 'truncate'
  | 'close'
  | 'rename'
  | 'link'
  | 'unlink'
  | 'list'
  | 'make_directory'
  | 'sync_directory'

/** Data of a {@link FileSystemError}. */
export interface FileFailure {
  readonly operation: FileOperation
  readonly path: string
  /** The name of the system's error, for instance `ENOSPC`. */
  readonly errno: string
}

/** Raised with code `file_system` by every operation of a {@link FileSystem}. */
export class FileSystemError extends StatewardError<'file_system', FileFailure> {
  override readonly name = 'FileSystemError'

  constructor(failure: FileFailure, options?: ErrorOptions) {
    super('file_system', `${failure.operation} ${failure.path}: ${failure.errno}`, failure, options)
  }

  /** True for a failure with one of these `errnos`. */
  static has(value: unknown, ...errnos: readonly string[]): value is FileSystemError {
    return value instanceof FileSystemError && errnos.includes(value.data.errno)
  }
}

/**
 * How a file is opened. `create`: a new file, refused when there is one. `update`: an existing file for reading and
 * writing. `durable`: the same, but a write resolves only once its bytes are on stable storage.
 */
export type OpenMode = 'read' | 'create' | 'update' | 'durable'

/** An open file; positions and lengths are in bytes. */
export interface OpenFile {
  /** Its number in this process, for handing the open file to a child process. */
  readonly descriptor: number
  /** True while this very file stands under the name: it was neither removed nor replaced. */
  isAt(path: string): Promise<boolean>
  /** How long the file is. */
  size(): Promise<number>
  /** Fills `into` from `position`; resolves with how much was there. */
  read(into: Uint8Array, position: number): Promise<number>
  /** The same, blocking, into a buffer of its own that is shorter where the file ends. */
  readSync(position: number, length: number): Buffer
  /** Writes all or the first part of `bytes`; resolves with how much was taken, at least one byte. */
  write(bytes: Uint8Array, position: number): Promise<number>
  /** Resolves once everything written is on stable storage. */
  sync(): Promise<void>
  /** Cuts the file. */
  truncate(length: number): Promise<void>
  close(): Promise<void>
}

/** The few things a journal asks of a file system; a port, so that a test can let any of them fail. */
export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<OpenFile>
  /** Part of a file, blocking: records are replayed by iteration, which cannot wait. Shorter where the file ends. */
  readSync(path: string, position: number, length: number): Buffer
  /** Names in a directory, in no order. */
  list(directory: string): Promise<string[]>
  rename(from: string, to: string): Promise<void>
  /** Gives a file a second name; `EEXIST` when that is taken. */
  link(existing: string, path: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Makes a directory in an existing one; false when it is there already. */
  makeDirectory(path: string): Promise<boolean>
  /** Makes created, renamed and removed names durable. */
  syncDirectory(path: string): Promise<void>
}

/** As much of a file system as reading a journal takes. */
export type ReadableFiles = Pick<FileSystem, 'open' | 'list' | 'readSync'>

/** Reads a file to its end. */
export async function readWhole(fileSystem: ReadableFiles, path: string): Promise<Buffer> {
  const file = await fileSystem.open(path, 'read')
  try {
    const bytes = Buffer.allocUnsafe(await file.size())
    let length = 0
    while (length < bytes.length) {
      const taken = await file.read(bytes.subarray(length), length)
      if (taken === 0) break
      length += taken
    }
    return bytes.subarray(0, length)
  } finally {
    await file.close()
  }
}

/** Writes all of `bytes`, in as many writes as it takes. */
export async function writeWhole(file: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  let written = await file.write(bytes, position)
  while (written < bytes.length) written += await file.write(bytes.subarray(written), position + written)
}

/**
 * Puts `bytes` into a new file that is on stable storage under its name once this resolves; a file of that name is
 * replaced. `temporary` is a free name in the same directory.
 */
export async function writeFileDurably(
  fileSystem: FileSystem,
  { directory, path, temporary, bytes }: Record<'directory' | 'path' | 'temporary', string> & { bytes: Uint8Array },
): Promise<void> {
  const file = await fileSystem.open(temporary, 'create')
  try {
    await writeWhole(file, bytes, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await fileSystem.rename(temporary, path)
  await fileSystem.syncDirectory(directory)
}
