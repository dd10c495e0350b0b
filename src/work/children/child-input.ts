import { closeSync, openSync, realpathSync } from 'node:fs'
import { join } from 'node:path'

const fileName = 'input'

/**
 * The standard input of a child: a file of its own in the directory, which is empty. It is there before the child is, so that a child
 * which has thrown its environment away is known by it also when its supervisor was killed before it could note which process
 * the child is.
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

/** The path of the input of a child, by which its processes are known; `undefined` where there is none. */
export function childInputPath(directory: string): string | undefined {
  try {
    return realpathSync(join(directory, fileName))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
