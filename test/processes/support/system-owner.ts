/**
 * An owner of processes of the operating system, to be killed: `system-owner DIRECTORY SUPERVISOR [REGISTRATIONS]`. It says
 * `ready` before it begins, `driven` once everything was handed over, and at its end how each process stands.
 */
import { join } from 'node:path'
import { systemClock as clock } from '../../../src/base/clock.js'
import { createDirectoryJournal } from '../../../src/journal/directory-journal.js'
import { openProcessStore, type ProcessRegistration } from '../../../src/processes/index.js'
import { systemWorker } from './system-worker.js'

const [directory = '', supervisor = '', registrations = '[]'] = process.argv.slice(2)
const store = await openProcessStore({
  clock,
  journal: createDirectoryJournal({ directory: join(directory, 'journal') }),
})
process.stdout.write('ready\n')
for (const registration of JSON.parse(registrations) as ProcessRegistration[]) await store.registerProcess(registration)
const { worker, close } = systemWorker({ store, directory: join(directory, 'system'), supervisor })
await worker.claimAndRunPending()
process.stdout.write('driven\n')
await worker.idle()
await close()
for (const { id, outcome } of await store.listProcesses({ status: 'any' })) {
  const events = await store.eventsAfter(id, 0)
  process.stdout.write(`${JSON.stringify({ id, outcome, types: events.map(({ eventType }) => eventType) })}\n`)
}
process.stdout.write('end\n')
await store.close()
