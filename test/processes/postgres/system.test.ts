import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { systemProcess } from '../../../src/processes/system/system-process.js'
import { buildLibrary } from '../../support/build.js'
import { PostgresFixtures } from '../support/postgres-fixture.js'
import { systemWorker } from '../support/system-worker.js'

let fixtures: PostgresFixtures
let supervisor: string
let directory: string

beforeAll(async () => {
  fixtures = await PostgresFixtures.start()
  supervisor = join(await buildLibrary(), 'src/work/children/supervisor.js')
  directory = await mkdtemp(join(tmpdir(), 'stateward-system-'))
}, 120_000)
afterAll(async () => {
  await fixtures?.[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

it('PostgreSQL: a program outlives its worker and is adopted by the next one on its host [P-221]', async () => {
  const { store, dispose } = await fixtures.create()
  const script = `printf 'a\\000b'; echo up >up; while [ ! -e go ]; do sleep 0.01; done; exit 5`
  await store.registerProcess(
    systemProcess({ id: 'p', command: 'sh', args: ['-c', script], cwd: directory, recover: 'adopt' }),
  )
  const first = systemWorker({ store, directory, supervisor })
  await first.worker.claimAndRunPending()
  await expect
    .poll(() => readFile(join(directory, 'up'), 'utf8').catch(() => ''), { interval: 5, timeout: 10_000 })
    .toBe('up\n')
  await first.close()
  const second = systemWorker({ store, directory, supervisor })
  await second.worker.claimAndRunPending()
  await writeFile(join(directory, 'go'), '')
  await second.worker.idle()
  await second.close()
  expect((await store.getProcess('p'))?.outcome).toMatchObject({
    code: 'exit_code',
    raw: { exitCode: 5, outputTail: 'a\0b' },
  })
  const types = (await store.eventsAfter('p', 0)).map(({ eventType }) => eventType)
  expect(types.slice(3)).toEqual(['process.adopted', 'process.failed'])
  await dispose?.()
})
