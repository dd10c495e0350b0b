import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadPlan } from '../../src/cli/plan-file.js'
import type { RunEvent } from '../../src/cli/run-events.js'
import { runPlan } from '../../src/cli/run-plan.js'
import type { RunReport } from '../../src/cli/run-report.js'
import { widthOf } from '../../src/cli/text.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { expectGone } from '../support/processes.js'
import { statuses, tool, Workspace } from './support/cli.js'

const root = join(import.meta.dirname, '..', '..')

let work: Workspace
beforeEach(async () => {
  work = await Workspace.create()
})
afterEach(() => work[Symbol.asyncDispose]())

describe('running a plan', () => {
  it('kills what has not ended when the grace period is over', async () => {
    await work.plan([
      tool('stubborn', `trap '' TERM; sleep 600 & echo "pid $!"; wait; sleep 600`, {
        progress: { pattern: '^(?<message>pid.*)$' },
      }),
    ])
    const clock = new SimulatedClock()
    const retire = new AbortController()
    const events: RunEvent[] = []
    const report = await runPlan(await loadPlan(work.path('plan.json')), {
      dataDir: work.path('data'),
      clock,
      graceMs: 2000,
      retire: retire.signal,
      onEvent: (event) => {
        events.push(event)
        if (event.type !== 'progress') return
        retire.abort()
        clock.advance(1999)
        expect(events.at(-1)).toEqual({ type: 'stopping', how: 'retire' })
        clock.advance(1)
      },
    })
    expect(events.map(({ type }) => type)).toEqual(['opened', 'started', 'progress', 'stopping', 'stopping', 'ended'])
    expect(report.exitCode).toBe(1)
    expect(report.tools).toMatchObject([
      { status: 'interrupted', reason: 'interrupted', process: { signal: 'SIGKILL' } },
    ])
    const progress = events.find(({ type }) => type === 'progress') as Extract<RunEvent, { type: 'progress' }>
    await expectGone(Number(progress.message?.split(' ')[1]))
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('tells progress as a message and a fraction', async () => {
    const script = 'echo "at 5% begun"; echo nothing; echo "at 250% more"; echo "at x% odd"'
    await work.plan([tool('copy', script, { progress: { pattern: '^at (?<percent>.*)% (?<message>.*)$' } })])
    const told: RunEvent[] = []
    await runPlan(await loadPlan(work.path('plan.json')), {
      dataDir: work.path('data'),
      onEvent: (event) => event.type === 'progress' && told.push(event),
    })
    expect(told).toEqual([
      { type: 'progress', tool: 'copy', message: 'begun', fraction: 0.05 },
      { type: 'progress', tool: 'copy', message: 'more', fraction: 1 },
      { type: 'progress', tool: 'copy', message: 'odd' },
    ])
  })

  it('has the start of an operation on disk before its process exists', async () => {
    const isOnDisk = 'grep -aq "operation_started[^}]*$STATEWARD_OPERATION_ID" data/journal/journal-*'
    await work.plan(Array.from({ length: 12 }, (_, index) => tool(`t${index}`, isOnDisk)))
    const report = await runPlan(await loadPlan(work.path('plan.json')), { dataDir: work.path('data') })
    expect(report.tools.filter(({ status }) => status !== 'as_expected')).toEqual([])
  })

  it('starts nothing when it is stopped before it begins', async () => {
    await work.plan([tool('a', 'echo ran >> log')])
    const file = await loadPlan(work.path('plan.json'))
    const report = await runPlan(file, { dataDir: work.path('data'), retire: AbortSignal.abort() })
    expect([report.exitCode, statuses(report)]).toEqual([1, { a: 'not_started' }])
    expect(report.hints).toEqual(['1 tool not started: run again to continue'])
    expect(await work.log()).toEqual([])
  })

  it('leaves neither timers nor listeners behind', async () => {
    await work.plan([tool('a', 'exit 0', { timeoutMs: 5000 })])
    const clock = new SimulatedClock()
    const before = process.listenerCount('exit')
    await runPlan(await loadPlan(work.path('plan.json')), { dataDir: work.path('data'), clock })
    expect([clock.pendingTimeouts, process.listenerCount('exit')]).toEqual([0, before])
  })
})

describe('the plan of this repository', () => {
  it('ends with 0 in a bare copy of the sources', async () => {
    const copy = await mkdtemp(join(tmpdir(), 'stateward-copy-'))
    try {
      for (const name of ['machines', 'actors', 'src', 'examples', 'CHANGELOG.md', 'package-lock.json']) {
        await cp(join(root, name), join(copy, name), { recursive: true })
      }
      const { exitCode, stdout, stderr } = await work.start('run', join(copy, 'examples/plans/repository.json')).ended
      expect([exitCode, stderr]).toEqual([0, expect.stringContaining('6 tools to run')])
      expect(stdout).toMatch(/\n6 of 6 tools ended as the plan expects\n$/)
      const sums = await readFile(join(copy, '.stateward/output/sha256.txt'), 'utf8')
      expect(sums.split('\n').length).toBeGreaterThan(50)
      const lock = createHash('sha256')
        .update(await readFile(join(root, 'package-lock.json')))
        .digest('hex')
      expect(sums).toContain(`${lock}  package-lock.json\n`)
      expect(existsSync(join(copy, '.stateward/output/sources.tar.gz'))).toBe(true)
    } finally {
      await rm(copy, { recursive: true })
    }
  })
})

describe('the plan of a release', () => {
  it('passes its version on, leaves out what is for stable releases only, and does nothing twice', async () => {
    const copy = await mkdtemp(join(tmpdir(), 'stateward-copy-'))
    try {
      for (const name of ['machines', 'actors', 'src', 'examples', 'package-lock.json']) {
        await cp(join(root, name), join(copy, name), { recursive: true })
      }
      const plan = join(copy, 'examples/plans/release.json')
      const first = await work.start('run', plan, '--data-dir', 'data').ended
      expect(first).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/\n5 of 7 tools ended as the plan expects, 2 skipped\n$/),
      })
      const { version } = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as { version: string }
      const sums = await readFile(join(copy, '.stateward/release/SHA256SUMS'), 'utf8')
      expect(sums).toMatch(new RegExp(`^[0-9a-f]{64} {2}stateward-${version}\\.tar\\.gz\\n$`))
      const again = await work.start('run', plan, '--data-dir', 'data', '--json').ended
      const { tools } = JSON.parse(again.stdout) as RunReport
      expect(tools.map(({ begun }) => begun)).toEqual(['before', 'before', 'before', null, 'before', null, 'before'])
    } finally {
      await rm(copy, { recursive: true })
    }
  })
})

describe('on a terminal', () => {
  it.runIf(process.platform === 'linux' && existsSync('/usr/bin/script'))(
    'redraws what is running, in colour',
    async () => {
      await work.plan([
        tool('copy', 'echo "100% done" >&2; while [ ! -e go ]; do sleep 0.01; done', {
          progress: { pattern: '(?<message>done)' },
        }),
      ])
      const run = work.startOnTerminal('run', 'plan.json')
      const screen = (): string => run.stdout.replaceAll('\u001B[', '<')
      await expect.poll(screen, { interval: 5, timeout: 5000 }).toMatch(/<2F<0Jcopy {2}.* done\r\n/)
      expect(screen()).toContain('<2m[.............]  0 of 1 done, 1 running, 0 waiting<22m')
      await work.write('go')
      expect((await run.ended).exitCode).toBe(0)
      expect(screen()).toContain('<32m1 of 1 tool ended as the plan expects<39m\r\n')
      // What has scrolled by is not said again.
      expect(screen().match(/<32mok<39m/g)).toHaveLength(1)
    },
  )

  it.runIf(process.platform === 'linux' && existsSync('/usr/bin/script')).each([40, 60, 120])(
    'keeps its columns at %i',
    async (columns) => {
      const name = 'a-tool-whose-name-is-not-short-at-all-but-allowed'
      await work.plan([
        tool(name, `echo "50% $(printf 'very long %.0s' $(seq 50))"; echo ${'x'.repeat(300)}; exit 1`, {
          progress: { pattern: '^(?<percent>\\d+)% (?<message>.*)$' },
          retries: 1,
        }),
        tool('then', 'exit 0', { needs: [name] }),
      ])
      work.terminalColumns = columns
      const { stdout } = await work.startOnTerminal('run', 'plan.json', '--data-dir', 'd').ended
      const lines = stripVTControlCharacters(stdout).split(/\r?\n/)
      expect(lines).toContain('0 of 2 tools ended as the plan expects')
      expect(lines.filter((line) => widthOf(line) > columns)).toEqual([])
    },
  )
})
