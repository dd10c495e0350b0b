import { appendFileSync, writeSync } from 'node:fs'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import type { JournalStore } from '../../src/journal/journal.js'
import { createDice, mortalFileSystem } from '../journal/support/mortal-file-system.js'

/** What a program is given that a {@link MortalService} starts. */
export interface MortalProgram {
  /** How often it has come to its end before; what it works on has other names each time. */
  readonly wave: number
  /** Whole numbers from 0 up to, not including, a limit, other ones in each life. */
  readonly upTo: (limit: number) => number
  /** The journal that all lives share. In half of them the process ends within a file operation, unless it is to live. */
  readonly store: JournalStore
  /** Writes down what was done, and says so. What has been noted survives a kill: the file is the system's. */
  note(what: object): void
  /** Says that there is nothing more to do. */
  done(): void
}

/** Reads `DIRECTORY NOTES SEED MORTAL WAVE`. */
export function mortalProgram(): MortalProgram {
  const [directory = '', notes = '', seed = '0', mortal = '0', wave = '0'] = process.argv.slice(2)
  const upTo = createDice(Number(seed))
  const writes = mortal === '1' && upTo(2) === 0 ? 3 + upTo(120) : Number.POSITIVE_INFINITY
  const fileSystem = mortalFileSystem(writes, upTo)
  return {
    wave: Number(wave),
    upTo,
    store: createDirectoryJournal({ directory, fileSystem, segmentBytes: 64 * 1024 }),
    note: (what) => {
      appendFileSync(notes, `${JSON.stringify(what)}\n`)
      writeSync(1, 'note\n')
    },
    done: () => void writeSync(1, 'done\n'),
  }
}
