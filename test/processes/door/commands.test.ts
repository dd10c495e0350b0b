import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { nextTurn } from '../../../src/base/promises.js'
import { createRuntime } from '../../../src/index.js'
import { buildLibrary } from '../../support/build.js'

let place: string

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'stateward-commands-'))
})
afterEach(() => rm(place, { recursive: true, force: true }))

it('P-229: a runtime with a folder for programs runs them as processes, beside its definitions', async () => {
  // As it is published: programs run under a program of the library.
  const library = (await import(join(await buildLibrary(), 'src/index.js'))) as { createRuntime: typeof createRuntime }
  const processes = { systemDirectory: join(place, 'system') }
  await using runtime = await library.createRuntime({ dataDir: join(place, 'data'), processes })
  const command = { id: 'hello', command: 'sh', args: ['-c', 'echo hello; exit 0'], recover: 'reap' } as const
  const handle = await runtime.processes.startCommand(command)
  expect(await handle.result()).toMatchObject({ exitCode: 0, signal: null, outputTail: 'hello\n' })
  const again = await runtime.processes.startCommand(command)
  expect((await again.status()).status).toBe('completed')
  const failed = await runtime.processes.startCommand({ command: 'sh', args: ['-c', 'exit 3'], recover: 'reap' })
  await expect(failed.result()).rejects.toMatchObject({ code: 'process.failed' })
})

it.each([
  ['that is a file', fileURLToPath(import.meta.url)],
  ['below a file', join(fileURLToPath(import.meta.url), 'system')],
  ['where nothing can be made', '/proc/stateward/system'],
  ['in which nothing can be made', '/proc'],
])('P-229: a folder %s is refused when the runtime is opened', async (_, systemDirectory) => {
  await expect(createRuntime({ processes: { systemDirectory } })).rejects.toMatchObject({
    code: 'invalid_input',
    data: { field: 'processes.systemDirectory' },
  })
})

it('a data directory where nothing can be made is refused when the runtime is opened', async () => {
  await expect(createRuntime({ dataDir: '/proc/stateward/data' })).rejects.toMatchObject({ code: 'journal_io' })
})

it('refuses an id that is none, and mints one where none is given', async () => {
  await using runtime = await createRuntime()
  const { processes } = runtime
  const command = { command: 'true', recover: 'reap' } as const
  await expect(processes.startCommand({ ...command, id: '' })).rejects.toMatchObject({ code: 'invalid_input' })
  const { id } = await processes.startCommand({ ...command, id: undefined } as never)
  expect((await processes.get(undefined, id).status()).identity).toEqual({ kind: 'system', label: 'true' })
})

it('P-229: one without leaves them to other hosts', async () => {
  await using runtime = await createRuntime()
  const handle = await runtime.processes.startCommand({ command: 'true', recover: 'reap' })
  let report = await runtime.processes.drive()
  while (report.intake === 'coalesced') {
    await nextTurn()
    report = await runtime.processes.drive()
  }
  expect(report.deferred).toEqual([{ processId: handle.id, disposition: { type: 'kind_unknown' } }])
})
