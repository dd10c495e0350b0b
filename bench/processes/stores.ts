import { join } from 'node:path'
import { PostgresDatabase } from '../../src/postgres/index.js'
import { openProcessStore, type ProcessRegistration, type ProcessStore } from '../../src/processes/public.js'
import { PostgresProcessStore } from '../../src/processes/postgres/public.js'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import { usePostgres } from '../../test/support/postgres-server.js'

/** A store that is closed when it is no longer needed. */
export interface OpenStore extends AsyncDisposable {
  readonly store: ProcessStore
}

/** Gives work the address of a database that nobody else uses. */
export async function withPostgres<Result>(work: (url: string) => Promise<Result>): Promise<Result> {
  await using server = await usePostgres()
  return await work(server.url)
}

/** A store in memory, on a journal in a directory, and on PostgreSQL. */
export const storeKinds = ['memory', 'journal', 'postgres'] as const

/** Opens a store that holds nothing yet. */
export async function openStore(
  kind: (typeof storeKinds)[number],
  { directory, url, schema }: { readonly directory: string; readonly url: string; readonly schema: string },
): Promise<OpenStore> {
  if (kind === 'postgres') {
    const database = await PostgresDatabase.open({ url })
    const store = await PostgresProcessStore.open({ database, schema })
    return { store, [Symbol.asyncDispose]: () => database.close() }
  }
  const journal = kind === 'journal' && createDirectoryJournal({ directory: join(directory, schema) })
  const store = await openProcessStore(journal === false ? {} : { journal })
  return { store, [Symbol.asyncDispose]: () => store.close() }
}

/** A process that says nothing of interest and that anybody may run. */
export function registrationOf(id: string): ProcessRegistration {
  return {
    id,
    input: { type: 'engine', kind: 'bench', payload: null },
    disposition: 'rerunnable',
    eventTypes: [{ name: 'note', payloadSchema: {}, semantics: {} }],
    provenance: { originator: { type: 'host' } },
    envRef: `process-env:sha256:${'0'.repeat(64)}`,
  }
}

/** Does something for 0 to count - 1, so many at a time. */
export async function atOnce(
  count: number,
  { concurrency }: { readonly concurrency: number },
  work: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const loop = async (): Promise<void> => {
    while (next < count) {
      const index = next
      next += 1
      await work(index)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, loop))
}

/** Registers processes with ids from 0 on. */
export async function registerMany(store: ProcessStore, count: number, from = 0): Promise<void> {
  await atOnce(count, { concurrency: 256 }, (index) => store.registerProcess(registrationOf(idOf(from + index))))
}

/** The id of the process with this number. */
export function idOf(number: number): string {
  return `p-${String(number).padStart(7, '0')}`
}
