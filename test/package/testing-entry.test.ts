import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as source from '../../src/testing/index.js'
import { buildLibrary } from '../support/build.js'

const installed = join(import.meta.dirname, '../../node_modules')
let place: string

/** A project of somebody else, who has installed the package as it is published. */
beforeAll(async () => {
  const home = dirname(await buildLibrary())
  place = await mkdtemp(join(tmpdir(), 'stateward-package-'))
  await mkdir(join(place, 'node_modules'))
  await symlink(home, join(place, 'node_modules', 'stateward'))
}, 120_000)
afterAll(() => rm(place, { recursive: true }))

/** Runs a script there and returns what it prints. */
async function run(script: string): Promise<unknown> {
  const file = join(place, 'script.mjs')
  await writeFile(file, script)
  const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: place })
  return JSON.parse(stdout)
}

it('stateward/testing has everything without fast-check and without a test runner', async () => {
  const names = await run(`
    const testing = await import('stateward/testing')
    const findsFastCheck = await import('fast-check').then(() => true, () => false)
    console.log(JSON.stringify({ names: Object.keys(testing).toSorted(), findsFastCheck }))
  `)
  expect(names).toEqual({ names: Object.keys(source).toSorted(), findsFastCheck: false })
})

it('walks a chart and searches beside both models, with fast-check handed in', async () => {
  await symlink(join(installed, 'fast-check'), join(place, 'node_modules', 'fast-check'))
  const found = await run(`
    import fc from 'fast-check'
    import { operationMachine } from 'stateward/machines'
    import { checkOperationsModel, checkTasksModel, openSession, openTasks, walkChart } from 'stateward/testing'
    const input = { id: 'one', kind: 'background_tool_op', displayName: 'one' }
    const walks = walkChart(operationMachine, { input, events: [{ type: 'start' }] }).map(({ name }) => name)
    await checkOperationsModel(fc, { open: openSession, comparison: 'whole', numRuns: 5 })
    await checkTasksModel(fc, { open: openTasks, comparison: 'whole', numRuns: 2 })
    const deaf = async (limits) => ({ port: { run: async () => {}, snapshot: async () => undefined } })
    const { cause } = await checkOperationsModel(fc, { open: deaf }).catch((error) => error)
    console.log(JSON.stringify({ walks, code: cause.code, steps: cause.data.steps.length }))
  `)
  expect(found).toEqual({
    walks: ['provisioning', 'provisioning -start-> running'],
    code: 'model_disagreement',
    steps: 1,
  })
}, 60_000)
