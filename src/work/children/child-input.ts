import { closeSync, openSync, realpathSync } from 'node:fs'
import { join } from 'node:path'

const fileName = 'input'

/**
 * The standard input of a child: an empty file of its own in the directory. The file is created before the child is
 * started. A child that has cleared its environment can therefore be found by its input, even if its supervisor was
 * killed before it could record the child's process id.
 */
export class ChildInput implements Disposable {
  /** Open for reading. */
  readonly descriptor: number

  constructor(directory: string) {
    const path = join(directory, fileName)
    closeSync(openSync(path, 'a', 0o600))
    this.descriptor = openSync(path, 'r')
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor)
  }
}

/** The path of a child's input, by which its processes are recognised; `undefined` if there is none. */
export function childInputPath(directory: string): string | undefined {
  try {
    return realpathSync(join(directory, fileName))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
