import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DryRun } from '../../src/cli/dry-run.js'
import { tool, Workspace } from './support/cli.js'

let work: Workspace
beforeEach(async () => {
  work = await Workspace.create()
})
afterEach(() => work[Symbol.asyncDispose]())

interface Told extends Pick<DryRun, 'blocked' | 'inUse'> {
  readonly tools: Record<string, string>
}

async function dryRun(...options: string[]): Promise<Told> {
  const end = await work.start('run', 'plan.json', '--data-dir', 'data', '--dry-run', '--json', ...options).ended
  expect([end.exitCode, end.stderr]).toEqual([0, ''])
  const { blocked, inUse, tools } = JSON.parse(end.stdout) as DryRun
  return {
    blocked,
    inUse,
    tools: Object.fromEntries(tools.map(({ name, action, result }) => [name, result?.status ?? action])),
  }
}

/** Every file below a folder with what is in it. */
async function contents(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  return Object.fromEntries(await Promise.all(files.map(async (file) => [file, await readFile(file, 'base64')])))
}

describe('a dry run', () => {
  it('says what would be run, in order, and does nothing', async () => {
    await work.plan([
      tool('test', 'echo ran >> log', { needs: ['build'] }),
      tool('build', 'echo ran >> log'),
      tool('never', 'exit 0', { if: 'false' }),
    ])
    const { exitCode, stdout, stderr } = await work.start('run', 'plan.json', '--data-dir', 'data', '--dry-run').ended
    expect([exitCode, stderr, stdout.split('\n')]).toEqual([
      0,
      '',
      [
        `plan demo: 2 tools to run, 4 at once, data in ${work.path('data')}`,
        "run          build  sh -c 'echo ran >> log'",
        "run          test   sh -c 'echo ran >> log' (after build)",
        'skipped      never  if: false does not hold',
        '',
      ],
    ])
    expect([await work.log(), existsSync(work.path('data'))]).toEqual([[], false])
  })

  it('knows what earlier runs have left, and leaves the directory as it is', async () => {
    await work.plan([tool('good', 'exit 0'), tool('bad', 'exit 1'), tool('then', 'exit 0', { needs: ['bad'] })])
    await work.run()
    const before = await contents(work.path('data'))
    expect(await dryRun()).toEqual({
      blocked: false,
      inUse: false,
      tools: { good: 'as_expected', bad: 'unexpected', then: 'not_started' },
    })
    expect((await dryRun('--retry-failed')).tools).toEqual({ good: 'as_expected', bad: 'run', then: 'run' })
    expect((await dryRun('--fresh')).tools).toEqual({ good: 'run', bad: 'run', then: 'run' })
    expect(await contents(work.path('data'))).toEqual(before)
  })

  it('can be asked for beside a run, and after one that was killed', async () => {
    await work.plan([tool('first', 'exit 0'), tool('waits', 'echo > here; exec sleep 600', { needs: ['first'] })])
    const run = work.start('run', 'plan.json', '--data-dir', 'data')
    await work.made('here')
    expect(await dryRun()).toEqual({ blocked: true, inUse: true, tools: { first: 'as_expected', waits: 'lost' } })
    run.process.kill('SIGKILL')
    await run.ended
    expect(await dryRun()).toEqual({ blocked: true, inUse: false, tools: { first: 'as_expected', waits: 'lost' } })
    expect(await dryRun('--resume')).toEqual({
      blocked: false,
      inUse: false,
      tools: { first: 'as_expected', waits: 'run' },
    })
  })
})

describe('stateward check', () => {
  it('takes a good plan and starts nothing', async () => {
    await work.plan([tool('a', 'echo ran >> log')])
    expect(await work.start('check', 'plan.json').ended).toMatchObject({
      exitCode: 0,
      stdout: 'plan.json: plan demo, 1 tool, is well-formed\n',
    })
    expect([await work.log(), existsSync(work.path('.stateward'))]).toEqual([[], false])
  })

  it('refuses what run refuses', async () => {
    await work.plan([tool('a', 'exit 0', { needs: ['b'] })])
    expect(await work.start('check', 'plan.json').ended).toMatchObject({
      exitCode: 2,
      stdout: '',
      stderr: 'stateward: invalid plan.json: tools.0.needs.0: no tool is named "b", did you mean "a"?\n',
    })
    expect(await work.start('check', 'nope.json').ended).toMatchObject({
      exitCode: 2,
      stderr: 'stateward: there is no plan file nope.json\n',
    })
  })
})
