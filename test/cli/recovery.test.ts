import { readdir, rm } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { expectGone, isRunning } from '../support/processes.js'
import { statuses, tool, Workspace, type CliRun } from './support/cli.js'

let work: Workspace
beforeEach(async () => {
  work = await Workspace.create()
})
afterEach(() => work[Symbol.asyncDispose]())

const first = tool('first', 'echo first >> log')
/** Notes its own pid and that of a grandchild, ignores SIGTERM and never ends; started once more, it ends at once. */
const stubborn = tool(
  'stubborn',
  `echo stubborn >> log; [ -e marker ] && exit 0; trap '' TERM; sleep 600 & echo "$$ $!" > pids; mv pids marker; wait; sleep 600`,
)
const later = tool('later', 'echo later >> log')

/** Starts the three tools one after another and waits until the second is in the middle of its work. */
async function startUntilStubborn(): Promise<{ run: CliRun; pids: number[] }> {
  await work.plan([first, stubborn, later], { concurrency: 1 })
  const run = work.start('run', 'plan.json', '--data-dir', 'data')
  const pids = (await work.made('marker')).split(' ').map(Number)
  return { run, pids }
}

async function expectAllGone(pids: readonly number[]): Promise<void> {
  for (const pid of pids) await expectGone(pid)
}

describe('a run that was killed', () => {
  it('is reported with its lost tool, leaves no orphan, and goes on with --resume, running nothing twice', async () => {
    const { run, pids } = await startUntilStubborn()
    run.process.kill('SIGKILL')
    expect((await run.ended).signal).toBe('SIGKILL')
    expect(pids.map(isRunning)).toEqual([true, true])

    const reported = await work.run()
    expect(reported.exitCode).toBe(1)
    expect(statuses(reported.report)).toEqual({
      first: 'as_expected before',
      stubborn: 'lost before',
      later: 'not_started',
    })
    expect(reported.report).toMatchObject({
      obligation: null,
      hints: [expect.stringMatching(/^1 tool did not finish: --resume/)],
    })
    expect(reported.stderr).toContain('killed 2 processes that an earlier run had left of stubborn')
    // The report says what is lost, once and without ids.
    expect(reported.stderr).not.toContain('operations were lost')
    await expectAllGone(pids)
    expect(await readdir(work.path('data/processes'))).toEqual([])

    const again = await work.run()
    expect([again.exitCode, statuses(again.report)]).toEqual([1, statuses(reported.report)])
    expect(await work.log()).toEqual(['first', 'stubborn'])

    const resumed = await work.run('--resume')
    expect(resumed.exitCode).toBe(0)
    expect(statuses(resumed.report)).toEqual({
      first: 'as_expected before',
      stubborn: 'as_expected now',
      later: 'as_expected now',
    })
    expect(resumed.report.obligation?.operationIds).toEqual(resumed.report.tools.map(({ operationId }) => operationId))
    expect(await work.log()).toEqual(['first', 'later', 'stubborn', 'stubborn'])

    const finished = await work.run()
    expect(finished.exitCode).toBe(0)
    expect(new Set(Object.values(statuses(finished.report)))).toEqual(new Set(['as_expected before']))
    expect(await work.log()).toHaveLength(4)
  })

  it('is resumed at once when asked to, after its orphans have been ended', async () => {
    const { run, pids } = await startUntilStubborn()
    run.process.kill('SIGKILL')
    await run.ended
    const { exitCode, report } = await work.run('--resume')
    expect([exitCode, report.exitCode]).toEqual([0, 0])
    await expectAllGone(pids)
    expect(await work.log()).toEqual(['first', 'later', 'stubborn', 'stubborn'])
  })

  it('still has its tool lost when the resumed run is killed too', async () => {
    const { run } = await startUntilStubborn()
    run.process.kill('SIGKILL')
    await run.ended
    await rm(work.path('marker'))
    const second = work.start('run', 'plan.json', '--data-dir', 'data', '--resume')
    const pids = (await work.made('marker')).split(' ').map(Number)
    second.process.kill('SIGKILL')
    await second.ended
    const { exitCode, report } = await work.run()
    expect(exitCode).toBe(1)
    expect(statuses(report)).toEqual({ first: 'as_expected before', stubborn: 'lost before', later: 'not_started' })
    await expectAllGone(pids)
  })

  it('is forgotten with --fresh: its orphans are ended and every tool runs again', async () => {
    const { run, pids } = await startUntilStubborn()
    run.process.kill('SIGKILL')
    await run.ended
    const { exitCode, report } = await work.run('--fresh')
    expect(exitCode).toBe(0)
    expect(new Set(Object.values(statuses(report)))).toEqual(new Set(['as_expected now']))
    await expectAllGone(pids)
    expect(await work.log()).toEqual(['first', 'first', 'later', 'stubborn', 'stubborn'])
  })
})

describe('a run that is killed at any moment', () => {
  const names = ['a', 'b', 'c', 'd']
  const scripts = names.map((name) => tool(name, `echo "begin ${name}" >> log; sleep 0.02; echo "end ${name}" >> log`))

  it.each([0, 1, 3, 5, 8])('knows afterwards what was begun and what has ended: after %i lines', async (moment) => {
    await work.plan(scripts, { concurrency: 2 })
    const run = work.start('run', 'plan.json', '--data-dir', 'data')
    if (moment === 0) await vi.waitFor(() => readdir(work.path('data/processes')), { interval: 1, timeout: 10_000 })
    await vi.waitFor(async () => expect((await work.log()).length).toBeGreaterThanOrEqual(moment), {
      interval: 1,
      timeout: 10_000,
    })
    run.process.kill('SIGKILL')
    await run.ended

    const { report } = await work.run()
    const log = await work.log()
    for (const { name, status } of report.tools) {
      const [begun, ended] = [log.includes(`begin ${name}`), log.includes(`end ${name}`)]
      if (status === 'as_expected') expect([name, ended]).toEqual([name, true])
      else if (status === 'not_started') expect([name, begun]).toEqual([name, false])
      else expect([name, status]).toEqual([name, 'lost'])
    }

    expect((await work.run('--resume')).exitCode).toBe(0)
    const finalLog = await work.log()
    for (const { name, status } of report.tools) {
      const begun = finalLog.filter((line) => line === `begin ${name}`).length
      if (status === 'lost') expect(finalLog).toContain(`end ${name}`)
      else expect([name, begun]).toEqual([name, 1])
    }
  })
})

describe('Ctrl-C', () => {
  it('asks running tools to end and starts no more; what was interrupted waits for --resume', async () => {
    const polite = tool(
      'polite',
      `echo polite >> log; [ -e marker ] && exit 0; trap 'echo bye >> log; exit 0' TERM; echo > marker; while :; do sleep 0.01; done`,
    )
    await work.plan([polite, later], { concurrency: 1 })
    const run = work.start('run', 'plan.json', '--data-dir', 'data', '--json')
    await work.made('marker')
    run.process.kill('SIGINT')
    const { exitCode, stdout, stderr } = await run.ended
    expect(exitCode).toBe(1)
    expect(statuses(JSON.parse(stdout))).toEqual({ polite: 'interrupted now', later: 'not_started' })
    expect(stderr).toContain('stopping: running tools are asked to end')
    expect(await work.log()).toEqual(['bye', 'polite'])

    const blocked = await work.run()
    expect([blocked.exitCode, statuses(blocked.report)]).toEqual([
      1,
      { polite: 'interrupted before', later: 'not_started' },
    ])
    const resumed = await work.run('--resume')
    expect([resumed.exitCode, statuses(resumed.report)]).toEqual([
      0,
      { polite: 'as_expected now', later: 'as_expected now' },
    ])
  })

  it('kills what does not end when it is pressed again; no process survives', async () => {
    const { run, pids } = await startUntilStubborn()
    run.process.kill('SIGINT')
    await expect.poll(() => run.stderr, { interval: 5 }).toContain('asked to end')
    expect(pids.map(isRunning)).toEqual([true, true])
    run.process.kill('SIGINT')
    const { exitCode, stdout } = await run.ended
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(/INTERRUPTED {2}stubborn/)
    await expectAllGone(pids)
    expect(await work.log()).toEqual(['first', 'stubborn'])
  })

  it('may be a SIGTERM', async () => {
    const { run, pids } = await startUntilStubborn()
    run.process.kill('SIGTERM')
    await expect.poll(() => run.stderr, { interval: 5 }).toContain('asked to end')
    run.process.kill('SIGTERM')
    expect((await run.ended).exitCode).toBe(1)
    await expectAllGone(pids)
  })
})

describe('what an earlier run has done', () => {
  it('does not count for a tool whose definition has changed since', async () => {
    await work.plan([first, later])
    await work.run()
    await work.plan([first, { ...later, env: { LEVEL: '2' } }, tool('new', 'echo new >> log')])
    const { report } = await work.run()
    expect(statuses(report)).toEqual({ first: 'as_expected before', later: 'as_expected now', new: 'as_expected now' })
    expect(await work.log()).toEqual(['first', 'later', 'later', 'new'])
  })

  it('counts for a tool that is only described differently', async () => {
    await work.plan([first])
    await work.run()
    await work.plan([{ ...first, description: 'the first', progress: { pattern: '(?<message>.+)' } }])
    expect(statuses((await work.run()).report)).toEqual({ first: 'as_expected before' })
  })

  it('is reported when it failed, and tried again with --retry-failed only', async () => {
    await work.plan([first, tool('flaky', 'echo flaky >> log; [ "$(grep -c flaky log)" -gt 1 ]')])
    expect((await work.run()).exitCode).toBe(1)
    const again = await work.run()
    expect([again.exitCode, statuses(again.report)]).toEqual([
      1,
      { first: 'as_expected before', flaky: 'unexpected before' },
    ])
    expect(again.report.hints).toEqual([expect.stringMatching(/^1 tool failed: --retry-failed/)])
    const retried = await work.run('--retry-failed')
    expect([retried.exitCode, statuses(retried.report)]).toEqual([
      0,
      { first: 'as_expected before', flaky: 'as_expected now' },
    ])
    expect(await work.log()).toEqual(['first', 'flaky', 'flaky'])
  })

  it('is forgotten with --fresh, but not that of another plan in the same directory', async () => {
    await work.plan([first], { name: 'other' })
    await work.run()
    await work.plan([later])
    await work.run()
    expect(statuses((await work.run('--fresh')).report)).toEqual({ later: 'as_expected now' })
    await work.plan([first], { name: 'other' })
    expect(statuses((await work.run()).report)).toEqual({ first: 'as_expected before' })
    expect(await work.log()).toEqual(['first', 'later', 'later'])
  })
})
