/**
 * A host that runs what is to be run on a shared PostgreSQL until it is killed or told to end: `killed-host.js URL NOTES SEED`. It
 * appends to the file NOTES, one JSON object per line, what its runs do, and says `note` for each.
 */
import { appendFileSync, writeSync } from 'node:fs'
import { once } from 'node:events'
import { PostgresDatabase } from '../../../../src/postgres/index.js'
import { PostgresProcessStore } from '../../../../src/processes/postgres/public.js'
import { createRuntime } from '../../../../src/runtime.js'
import { createDice } from '../../../journal/support/mortal-file-system.js'
import { sharedKinds } from './shared-kinds.js'

const [url = '', notes = '', seed = '0'] = process.argv.slice(2)
const upTo = createDice(Number(seed))

const { job, bound } = sharedKinds(
  (what, processId, value) => {
    // What has been noted survives a kill: the file is the system's.
    appendFileSync(notes, `${JSON.stringify({ what, processId, value })}\n`)
    writeSync(1, 'note\n')
  },
  // What was taken over takes its time, so that whoever had it before may still write meanwhile.
  (attempt) => new Promise((resolve) => setTimeout(resolve, attempt === 1 ? upTo(30) : 150)),
)

// A host that is frozen within a transaction holds its locks no longer than that.
const database = await PostgresDatabase.open({ url, retryMs: 30_000, idleTransactionTimeoutMs: 500 })
const runtime = await createRuntime({
  processes: {
    store: await PostgresProcessStore.open({ database }),
    define: [job, bound],
    timings: { ttlMs: 900, renewIntervalMs: 300 },
    sweepIntervalMs: 100,
    retryDelayMs: 100,
    longestPollMs: 100,
  },
})
writeSync(1, 'ready\n')
await once(process, 'SIGTERM')
await runtime.close()
await database.close()
