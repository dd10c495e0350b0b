import { PostgresDatabase, type PostgresOptions } from '../../../../src/postgres/index.js'
import { PostgresProcessStore, type PostgresStoreOptions } from '../../../../src/processes/postgres/public.js'
import type { ProcessRegistration } from '../../../../src/processes/registration.js'

/** A registration of a process that anybody may execute. */
export function rerunnable(id: string): ProcessRegistration {
  return {
    id,
    input: { type: 'engine', kind: 'test', payload: { id } },
    disposition: 'rerunnable',
    eventTypes: [
      { name: 'note', payloadSchema: {}, semantics: {} },
      { name: 'ring', payloadSchema: {}, semantics: { wake: { input: { type: 'payload' } } } },
      { name: 'signal.go', payloadSchema: {}, semantics: {} },
    ],
    provenance: { originator: { type: 'host' } },
    envRef: `process-env:sha256:${'0'.repeat(64)}`,
  }
}

/** The same for one that is ended from outside. */
export function external(id: string): ProcessRegistration {
  const { envRef: _, ...registration } = rerunnable(id)
  return { ...registration, input: { type: 'external', metadata: null }, disposition: 'externally_owned' }
}

/** A host: a store with a pool of its own. */
export interface Host extends AsyncDisposable {
  readonly store: PostgresProcessStore
  readonly database: PostgresDatabase
}

/** Opens a store as another host would. */
export async function openHost(
  options: PostgresOptions,
  storeOptions: Omit<PostgresStoreOptions, 'database'> = {},
): Promise<Host> {
  const database = await PostgresDatabase.open(options)
  try {
    const store = await PostgresProcessStore.open({ database, ...storeOptions })
    return { store, database, [Symbol.asyncDispose]: () => database.close() }
  } catch (cause) {
    await database.close()
    throw cause
  }
}
