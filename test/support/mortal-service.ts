import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileChild, type CompiledChild } from '../journal/support/compiled-child.js'

/** How one life of a service goes. */
export interface Life {
  /** Decides when it ends, and what happens until then. */
  readonly seed: number
  /** How often the service has come to its end before. */
  readonly wave: number
  /** False: it is not killed. */
  readonly isMortal: boolean
}

/** A program that is begun and killed again and again over one directory, and notes in a file what it does. */
export class MortalService<Note> {
  readonly #child: CompiledChild
  readonly #home: string

  private constructor(child: CompiledChild, home: string) {
    this.#child = child
    this.#home = home
  }

  /** Compiles a program of a folder that begins with `mortalProgram()`; `name` without its ending. */
  static async compile<Note>(name: string, folder: string): Promise<MortalService<Note>> {
    const child = await compileChild(name, folder)
    return new MortalService(child, await mkdtemp(join(tmpdir(), `stateward-${name}-`)))
  }

  /** Where its journal is. */
  get directory(): string {
    return join(this.#home, 'journal')
  }

  /**
   * Starts the program and kills it once it has noted enough, unless it kills itself or is done. Resolves with whether it was
   * done; rejects when it has failed.
   */
  async liveOnce({ seed, wave, isMortal }: Life): Promise<boolean> {
    const child = this.#child.start(
      this.directory,
      join(this.#home, 'notes'),
      String(seed),
      isMortal ? '1' : '0',
      String(wave),
    )
    const patience = isMortal ? 1 + ((seed * 7919) % 23) : Number.POSITIVE_INFINITY
    let said = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      if (said.split('\n').length > patience) child.kill('SIGKILL')
    })
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
    if (signal === 'SIGKILL') return false
    if (code !== 0 || !said.includes('done\n')) throw new Error(`life ${seed} has failed with ${code ?? signal}`)
    return true
  }

  /** Everything that was noted in all its lives; a line that a kill has cut is none. */
  async notes(): Promise<readonly Note[]> {
    const text = await readFile(join(this.#home, 'notes'), 'utf8').catch(() => '')
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Note)
  }

  /** Removes the program and all that it has left. */
  async remove(): Promise<void> {
    await this.#child.remove()
    await rm(this.#home, { recursive: true })
  }
}
