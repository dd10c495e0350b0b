import { closeSync, constants, fsyncSync, openSync, write, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'libsql'
import { open as openLmdb } from 'lmdb'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import type { Journal } from '../../src/journal/journal.js'

/** A fact of about 200 bytes of JSON. */
export type Fact = {
  readonly type: string
  readonly session: string
  readonly operation: string
  readonly at: number
  readonly detail: string
  readonly fraction: number
}

/** Something that makes facts durable; an append resolves once its fact is synced. */
export interface Contender {
  append(fact: Fact): Promise<unknown>
  close(): Promise<void>
}

/** The `number`th fact. */
export function factOf(number: number): Fact {
  return {
    type: 'operation_progressed',
    session: 'session-0001',
    operation: `0190b6f0-1c2d-7e3f-8a4b-${String(number).padStart(12, '0')}`,
    at: 1_760_000_000_000 + number,
    detail: 'connecting to the remote host, attempt 1 of 3',
    fraction: 0.25,
  }
}

/** A folder of its own for `use`, removed afterwards. */
export async function inTemporaryDirectory<Value>(use: (directory: string) => Promise<Value>): Promise<Value> {
  const directory = await mkdtemp(join(tmpdir(), 'stateward-bench-'))
  try {
    return await use(directory)
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** The journal as an owner uses it: one record per append. */
export async function openJournal(directory: string): Promise<Contender & { readonly journal: Journal }> {
  const { journal } = await createDirectoryJournal({ directory }).open()
  return {
    journal,
    append: (fact) => journal.append([fact]),
    close: () => journal.close(),
  }
}

/** LMDB: batched commits, resolved once they are flushed. */
export async function openLmdbStore(directory: string): Promise<Contender> {
  const store = openLmdb<Fact, number>({ path: directory })
  let next = 0
  return {
    async append(fact) {
      next += 1
      await store.put(next, fact)
      await store.flushed
    },
    close: () => store.close(),
  }
}

/** SQLite with a write-ahead log synced at every commit: one transaction for everything submitted in a turn. */
export async function openLibsqlStore(directory: string): Promise<Contender> {
  const database = new Database(join(directory, 'facts.db'))
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.exec('CREATE TABLE facts (sequence INTEGER PRIMARY KEY, fact TEXT NOT NULL)')
  const insert = database.prepare('INSERT INTO facts (fact) VALUES (?)')
  let queue: { readonly text: string; readonly resolve: () => void }[] = []
  const commit = (): void => {
    const batch = queue
    queue = []
    database.exec('BEGIN')
    for (const { text } of batch) insert.run(text)
    database.exec('COMMIT')
    for (const { resolve } of batch) resolve()
  }
  return {
    append: (fact) =>
      new Promise<void>((resolve) => {
        if (queue.length === 0) setImmediate(commit)
        queue.push({ text: JSON.stringify(fact), resolve })
      }),
    close: async () => {
      database.close()
    },
  }
}

/** The least that any of this can cost: bytes made beforehand, one durable write after another into place. */
export class RawFloor {
  readonly #descriptor: number
  readonly #size: number
  #position = 0

  constructor(directory: string, size = 16 * 2 ** 20) {
    const path = join(directory, 'floor')
    const descriptor = openSync(path, 'w')
    writeSync(descriptor, Buffer.alloc(size))
    fsyncSync(descriptor)
    closeSync(descriptor)
    this.#descriptor = openSync(path, constants.O_RDWR | constants.O_DSYNC)
    this.#size = size
  }

  /** Writes the batch and waits until it is synced. */
  append(batch: Buffer): Promise<void> {
    if (this.#position + batch.length > this.#size) this.#position = 0
    const position = this.#position
    this.#position += batch.length
    return new Promise((resolve, reject) => {
      write(this.#descriptor, batch, 0, batch.length, position, (error) => (error === null ? resolve() : reject(error)))
    })
  }

  close(): void {
    closeSync(this.#descriptor)
  }
}
