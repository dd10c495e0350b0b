import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createRuntime, defineTask } from '../../src/index.js'

const double = defineTask('double', {}, (count: number) => count * 2)

it('[T-205] a runtime registers its definitions and begins to dispatch; a later one goes on with what is there', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'stateward-define-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  const submitting = await createRuntime({ dataDir })
  const { id } = await submitting.tasks.submit(double, 21, { key: 'answer' })
  expect(submitting.tasks.isDispatching).toBe(false)
  await submitting.close()
  await using working = await createRuntime({ dataDir, tasks: { define: [double] } })
  expect(working.tasks.isDispatching).toBe(true)
  const handle = await working.tasks.submit(double, 21, { key: 'answer' })
  expect([handle.id, await handle.result()]).toEqual([id, 42])
})

it('[T-169] two definitions of one kind are refused, and the directory is free again', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'stateward-define-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  const opening = createRuntime({ dataDir, tasks: { define: [double, double] } })
  await expect(opening).rejects.toMatchObject({ code: 'handler_exists', data: { kind: 'double' } })
  await (await createRuntime({ dataDir })).close()
})
