/**
 * Two services share a PostgreSQL server. One of them writes a book, chapter by chapter, and is killed; the other one
 * continues where it was: no chapter is written twice, and none is missing.
 *
 *     npm run example:hosts
 *
 * The server is part of the development dependencies; `STATEWARD_PG_URL` names another one.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createRuntime, defineProcess, type ProcessDefinition } from 'stateward'
import { PostgresDatabase, PostgresProcessStore } from 'stateward/postgres'
import * as v from 'valibot'
import { withServer } from '../support/postgres.js'

/** A service gets its name and the server's address as arguments; without them this program starts the services. */
const [name, url] = process.argv.slice(2)

// #region shown
const book = defineProcess(
  'book',
  {
    input: v.object({ chapters: v.number() }),
    output: v.string(),
    events: { written: v.object({ chapter: v.number(), by: v.string() }) },
    disposition: 'rerunnable',
  },
  async ({ chapters }, run) => {
    for (let chapter = 1; chapter <= chapters; chapter += 1) {
      const by = await run.step(`chapter ${chapter}`, () => name ?? 'nobody')
      await run.emit('written', { chapter, by })
      await run.sleep(1000)
    }
    return `a book of ${chapters} chapters`
  },
)

/** A runtime on the shared server. Two seconds after a service was killed, others can take over its processes. */
async function open(server: string, define: readonly ProcessDefinition[] = []) {
  const database = await PostgresDatabase.open({ url: server })
  const store = await PostgresProcessStore.open({ database })
  const timings = { ttlMs: 2000, renewIntervalMs: 500 }
  const runtime = await createRuntime({
    processes: { store, timings, sweepIntervalMs: 200, longestPollMs: 100, define },
  })
  const close = async (): Promise<void> => {
    await runtime.close()
    await database.close()
  }
  return { runtime, close }
}
// #endregion

/** A service: writes books until it is told to end. */
async function serve(server: string): Promise<void> {
  const { close } = await open(server, [book])
  process.send?.('ready')
  await once(process, 'SIGTERM')
  await close()
  process.disconnect?.()
}

async function startService(service: string, server: string): Promise<ChildProcess> {
  const child = fork(process.argv[1] ?? '', [service, server])
  await once(child, 'message')
  return child
}

/** Starts a book, and kills the service that writes it. */
async function demonstrate(server: string): Promise<void> {
  const { runtime, close } = await open(server)
  const one = await startService('one', server)
  const handle = await runtime.processes.start(book, { chapters: 4 })
  let two: ChildProcess | undefined
  for await (const { eventType, payload } of handle.events()) {
    if (eventType !== 'written') continue
    const { chapter, by } = payload as { readonly chapter: number; readonly by: string }
    console.log(`chapter ${chapter} by service ${by}`)
    if (chapter === 1) two = await startService('two', server)
    if (chapter === 2) {
      one.kill('SIGKILL')
      console.log('service one is killed')
    }
  }
  console.log(await handle.result())
  two?.kill('SIGTERM')
  await close()
}

if (name !== undefined && url !== undefined) await serve(url)
else await withServer(demonstrate)
