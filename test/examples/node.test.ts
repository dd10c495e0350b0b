import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { buildLibrary } from '../support/build.js'

const root = join(import.meta.dirname, '..', '..')

it('the node with three daemons is drained and brought back by who has signed for it', {
  timeout: 60_000,
}, async () => {
  const home = dirname(await buildLibrary())
  const output = await mkdtemp(join(home, 'example-node-'))
  onTestFinished(() => rm(output, { recursive: true }))
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const project = join(root, 'examples', 'node')
  await promisify(execFile)(process.execPath, [compiler, '-p', project, '--noCheck', '--outDir', output])
  const { stdout } = await promisify(execFile)(process.execPath, [join(output, 'daemons.js')])
  expect(stdout.split('\n').slice(0, -1)).toEqual([
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
