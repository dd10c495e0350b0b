import { StatewardError } from '../base/errors.js'

/** The operation that failed with a {@link FileSystemError}. */
export type FileOperation =
  | 'open'
  | 'read'
  /** The bytes of this call were refused. Bytes that were durable before are unaffected. */
  | 'write'
  /** Bytes written earlier may or may not be on stable storage, and syncing again would not tell. */
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

/** Thrown with code `file_system` by every operation of a {@link FileSystem}. */
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
 * How a file is opened. `create`: a new file, refused if it exists. `update`: an existing file for reading and
 * writing. `durable`: like `update`, but a write resolves only once its bytes are on stable storage.
 */
export type OpenMode = 'read' | 'create' | 'update' | 'durable'

/** An open file. Positions and lengths are in bytes. */
export interface OpenFile {
  /** Its file descriptor, for passing the open file to a child process. */
  readonly descriptor: number
  /** True while the name refers to this very file: it has neither been removed nor replaced. */
  isAt(path: string): Promise<boolean>
  /** The length of the file. */
  size(): Promise<number>
  /** Fills `into` with the bytes from `position` on. Resolves with the number of bytes read. */
  read(into: Uint8Array, position: number): Promise<number>
  /** The blocking form of `read`. Returns a new buffer, shorter where the file ends. */
  readSync(position: number, length: number): Buffer
  /** Writes all or the first part of `bytes`. Resolves with the number of bytes written, at least one. */
  write(bytes: Uint8Array, position: number): Promise<number>
  /** Resolves once everything written is on stable storage. */
  sync(): Promise<void>
  /** Shortens the file to this length. */
  truncate(length: number): Promise<void>
  close(): Promise<void>
}

/** The operations that a journal needs of a file system. A port, so that a test can make any of them fail. */
export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<OpenFile>
  /**
   * Reads part of a file, blocking, because records are replayed by iteration, which cannot wait. Returns fewer bytes
   * where the file ends.
   */
  readSync(path: string, position: number, length: number): Buffer
  /** The names in a directory, in no particular order. */
  list(directory: string): Promise<string[]>
  rename(from: string, to: string): Promise<void>
  /** Gives a file a second name. Fails with `EEXIST` if the name is taken. */
  link(existing: string, path: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Creates a directory in an existing one. Resolves with false if it exists already. */
  makeDirectory(path: string): Promise<boolean>
  /** Makes created, renamed and removed names durable. */
  syncDirectory(path: string): Promise<void>
}

/** The part of a file system that reading a journal needs. */
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
 * Writes `bytes` to a new file and gives it its name. Once this resolves, the file is on stable storage under `path`;
 * an existing file of that name is replaced. `temporary` is an unused name in the same directory.
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
