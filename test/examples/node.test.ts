import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { buildLibrary } from '../support/build.js'
import { usePostgres } from '../support/postgres-server.js'

const root = join(import.meta.dirname, '..', '..')

/** Compiles the examples and runs one of them. */
async function linesOf(name: string, environment: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const home = dirname(await buildLibrary())
  const output = await mkdtemp(join(home, 'example-node-'))
  onTestFinished(() => rm(output, { recursive: true }))
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const project = join(root, 'examples', 'node')
  await promisify(execFile)(process.execPath, [compiler, '-p', project, '--noCheck', '--outDir', output])
  const env = { ...process.env, ...environment }
  const { stdout } = await promisify(execFile)(process.execPath, [join(output, 'node', `${name}.js`)], { env })
  return stdout.split('\n').slice(0, -1)
}

it('of two nodes one is killed, the other takes over, and one command freezes both', { timeout: 60_000 }, async () => {
  await using server = await usePostgres()
  const said = await linesOf('two-nodes', { STATEWARD_PG_URL: server.url })
  expect(said.slice(0, 5)).toEqual([
    'node a1 is there',
    'node a1 runs the crawler with fence 1',
    'node a2 is there',
    'node a1 is killed',
    'node a2 runs the crawler with fence 2',
  ])
  expect(said).toContain('Ada freezes the cluster: accepted')
  expect(said.filter((line) => line.endsWith('is frozen')).toSorted()).toEqual([
    'node a1 is frozen',
    'node a2 is frozen',
  ])
})

it('the node with three daemons is drained and brought back by who has signed for it', {
  timeout: 60_000,
}, async () => {
  expect(await linesOf('daemons')).toEqual([
    'at work: indexer running, lamp running, broken stopped',
    'broken has crashed five times and is left alone for a while',
    'somebody who has signed nothing: rejected',
    'a stranger: rejected: not_authorized',
    'Ada drains it: accepted',
    'drained: indexer stopped, lamp stopped, broken stopped',
    'Ada brings it back: accepted',
    'active again: indexer running, lamp running, broken stopped',
    'in the audit: enter_maintenance rejected, enter_maintenance rejected, enter_maintenance accepted, exit_maintenance accepted',
  ])
})
