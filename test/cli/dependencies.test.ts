import { rm } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { statuses, tool, Workspace } from './support/cli.js'

let work: Workspace
beforeEach(async () => {
  work = await Workspace.create()
})
afterEach(() => work[Symbol.asyncDispose]())

/** A tool that notes its name, in the order in which tools come. */
const note = (name: string, more: object = {}, script = ''): object =>
  tool(name, `echo ${name} >> log; ${script}`, more)

/** The log as it was written. */
async function order(): Promise<string[]> {
  return (await work.read('log')).split('\n')
}

describe('a tool that needs others', () => {
  it('starts once they have ended, wherever it stands in the plan', async () => {
    await work.plan([
      note('test', { needs: ['build', 'lint'] }),
      note('build', { needs: ['fetch'] }, 'sleep 0.05'),
      note('lint'),
      note('fetch', {}, 'sleep 0.05'),
    ])
    const { exitCode, report } = await work.run()
    expect(exitCode).toBe(0)
    expect(report.tools.map(({ name }) => name)).toEqual(['test', 'build', 'lint', 'fetch'])
    expect((await order()).filter((name) => name !== 'lint')).toEqual(['fetch', 'build', 'test'])
    expect((await order()).indexOf('test')).toBe(3)
  })

  it('is not started when one of them has failed, nor is what needs it; the rest goes on', async () => {
    await work.plan(
      [
        note('build', {}, 'exit 1'),
        note('test', { needs: ['build'] }),
        note('publish', { needs: ['test'] }),
        note('other'),
      ],
      { concurrency: 1 },
    )
    const { exitCode, report } = await work.run()
    expect(exitCode).toBe(1)
    expect(statuses(report)).toEqual({
      build: 'unexpected now',
      test: 'not_started',
      publish: 'not_started',
      other: 'as_expected now',
    })
    expect(report.tools.map(({ reason }) => reason)).toEqual([
      'ended with exit code 1 instead of exit code 0',
      'needs build, which failed',
      'needs test, which was not started',
      null,
    ])
    expect(report.hints).toEqual(['1 tool failed: --retry-failed runs it again, and then what needs it'])
    expect(await order()).toEqual(['build', 'other'])
  })

  it('may wait for a failure, or for an end of any kind', async () => {
    const cleanUp = [
      note('test', { needs: ['build'] }),
      note('alarm', { needs: ['build', 'test'], after: 'failure' }),
      note('clean', { needs: ['test'], after: 'always' }),
    ]
    await work.plan([note('build', {}, 'exit 1'), ...cleanUp])
    expect(statuses((await work.run()).report)).toEqual({
      build: 'unexpected now',
      test: 'not_started',
      alarm: 'as_expected now',
      clean: 'as_expected now',
    })
    await work.plan([note('build'), ...cleanUp], { name: 'good' })
    const good = await work.run()
    expect([good.exitCode, statuses(good.report)]).toEqual([
      0,
      { build: 'as_expected now', test: 'as_expected now', alarm: 'skipped', clean: 'as_expected now' },
    ])
  })

  it('is skipped when its condition does not hold, and holds nobody up then', async () => {
    await work.plan([
      note('sign', { if: '${CHANNEL:-preview} == stable' }),
      note('publish', { needs: ['sign'] }),
      note('alarm', { needs: ['sign'], after: 'failure' }),
    ])
    const { exitCode, report } = await work.run()
    expect([exitCode, statuses(report)]).toEqual([0, { sign: 'skipped', publish: 'as_expected now', alarm: 'skipped' }])
    expect(report.tools[0]?.reason).toBe('if: ${CHANNEL:-preview} == stable does not hold')
    await work.plan([note('sign', { if: '${CHANNEL} == stable', env: { CHANNEL: 'stable' } })], { name: 'stable' })
    expect(statuses((await work.run()).report)).toEqual({ sign: 'as_expected now' })
  })
})

describe('what a tool passes on', () => {
  const version = tool('version', 'echo "version=1.2 $SUFFIX" >> "$STATEWARD_OUTPUT"; echo ran >> log', {
    env: { SUFFIX: '; touch hacked' },
  })

  it('stands in arguments, variables and conditions of those that need it, and survives in the journal', async () => {
    const show = {
      ...tool('show', 'echo "$1|$V|$W"', { needs: ['version'], env: { V: '<${version.version}>' } }),
      args: ['-c', 'echo "$1|$V|$2"', 'sh', '${V}', '${version.other:-none}'],
    }
    await work.plan([version])
    await work.run()
    await work.plan([version, show, note('never', { needs: ['version'], if: '${version.version} == 1' })])
    const { report } = await work.run()
    expect(statuses(report)).toEqual({ version: 'as_expected before', show: 'as_expected now', never: 'skipped' })
    expect(report.tools[0]?.process?.outputs).toEqual({ version: '1.2 ; touch hacked' })
    expect(report.tools[1]?.process?.outputTail).toBe('<1.2 ; touch hacked>|<1.2 ; touch hacked>|none\n')
    expect(await order()).toEqual(['ran'])
    expect(statuses((await work.run()).report)).toMatchObject({ show: 'as_expected before' })
  })

  it('fails the tool that refers to what is not there, and the tool whose outputs cannot be read', async () => {
    await work.plan([
      tool('quiet', 'exit 0'),
      note('asks', { needs: ['quiet'], env: { V: '${quiet.version}' } }),
      tool('odd', 'echo "no pair" > "$STATEWARD_OUTPUT"'),
    ])
    const { exitCode, report } = await work.run()
    expect(exitCode).toBe(1)
    expect(report.tools.map(({ status, reason }) => [status, reason])).toEqual([
      ['as_expected', null],
      ['unexpected', 'quiet has set no output version, and ${quiet.version} has no default'],
      ['unexpected', 'invalid outputs: line 1: expected name=value'],
    ])
    expect(await work.log()).toEqual([])
  })
})

describe('variables', () => {
  it('of the plan are those of every tool, taken from the runner where they say so', async () => {
    await work.plan([tool('show', 'echo "$MODE $WHERE $OWN"', { cwd: '${WHERE}', env: { OWN: '${WHERE}/${MODE}' } })], {
      env: { MODE: '${STATEWARD_TEST_UNSET:-debug}', WHERE: '..' },
    })
    expect((await work.run()).report.tools[0]?.process?.outputTail).toBe('debug .. ../debug\n')
  })

  it('that are not set end the run before anything is started, naming the field', async () => {
    await work.plan([note('a'), note('b', { env: { B: '${STATEWARD_TEST_UNSET}' } })])
    expect(await work.start('run', 'plan.json').ended).toMatchObject({
      exitCode: 2,
      stderr:
        'stateward: invalid plan.json: tools.1.env.B: the variable STATEWARD_TEST_UNSET is not set, and ${STATEWARD_TEST_UNSET} has no default\n',
    })
    await work.plan([note('a')], { env: { A: '${STATEWARD_TEST_UNSET}' } })
    expect(await work.start('check', 'plan.json').ended).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^stateward: invalid plan\.json: env\.A: the variable/),
    })
    expect(await work.log()).toEqual([])
  })
})

describe('a timeout of the plan', () => {
  it('counts for tools that name none', async () => {
    await work.plan([tool('hangs', 'exec sleep 600'), tool('quick', 'exit 0', { timeoutMs: 60_000 })], {
      timeoutMs: 50,
    })
    const { report } = await work.run()
    expect(report.tools[0]?.reason).toBe('timed out after 50 ms instead of ending with exit code 0')
    expect(report.tools[1]?.status).toBe('as_expected')
  })
})

describe('retries', () => {
  /** Fails until it has been begun so often. */
  const flaky = (times: number, more: object = {}): object =>
    tool('flaky', `echo flaky >> log; [ "$(grep -c flaky log)" -ge ${times} ]`, more)

  it('try a failed tool again, each time as an operation of its own', async () => {
    await work.plan([flaky(3, { retries: 2, retryDelayMs: 1 }), note('then', { needs: ['flaky'] })])
    const { exitCode, report, stderr } = await work.run()
    expect([exitCode, statuses(report)]).toEqual([0, { flaky: 'as_expected now', then: 'as_expected now' }])
    expect(report.tools[0]?.attempt).toBe(3)
    expect(stderr.match(/^again .*attempt \d of 3 in 1 ms$/gm)).toHaveLength(2)
    expect(await order()).toEqual(['flaky', 'flaky', 'flaky', 'then'])
  })

  it('come to an end, and --retry-failed grants them anew', async () => {
    await work.plan([flaky(4, { retries: 1 })])
    expect((await work.run()).report.tools[0]).toMatchObject({ status: 'unexpected', attempt: 2 })
    expect((await work.run()).report.tools[0]).toMatchObject({ status: 'unexpected', begun: 'before', attempt: 2 })
    expect((await work.run('--retry-failed')).report.tools[0]).toMatchObject({ status: 'as_expected', attempt: 2 })
    expect(await work.log()).toHaveLength(4)
  })

  it('end with Ctrl-C, and the next run goes on with what is left of them', async () => {
    await work.plan([flaky(2, { retries: 1, retryDelayMs: 600_000 })])
    const run = work.start('run', 'plan.json', '--data-dir', 'data', '--json')
    await expect.poll(() => run.stderr, { interval: 5, timeout: 10_000 }).toContain('attempt 2 of 2 in 10 min 0 s')
    run.process.kill('SIGINT')
    const { exitCode, stdout } = await run.ended
    expect([exitCode, JSON.parse(stdout).tools[0].attempt]).toEqual([1, 1])
    const next = await work.run()
    expect([next.exitCode, next.report.tools[0]?.attempt]).toEqual([0, 2])
  })
})

describe('a run of tools that need each other, run again', () => {
  it('after kill -9 starts nothing unasked, and --resume starts what is left in order', async () => {
    const middle = `[ -e marker ] && exit 0; echo > marker; exec sleep 600`
    await work.plan([
      note('publish', { needs: ['test'] }),
      note('test', { needs: ['build'] }, middle),
      note('build'),
      note('alarm', { needs: ['test'], after: 'failure' }),
    ])
    const run = work.start('run', 'plan.json', '--data-dir', 'data')
    await work.made('marker')
    run.process.kill('SIGKILL')
    await run.ended
    const reported = await work.run()
    expect([reported.exitCode, statuses(reported.report)]).toEqual([
      1,
      { publish: 'not_started', test: 'lost before', build: 'as_expected before', alarm: 'not_started' },
    ])
    expect(await order()).toEqual(['build', 'test'])
    const resumed = await work.run('--resume')
    expect([resumed.exitCode, statuses(resumed.report)]).toEqual([
      0,
      { publish: 'as_expected now', test: 'as_expected now', build: 'as_expected before', alarm: 'skipped' },
    ])
    expect(await order()).toEqual(['build', 'test', 'test', 'publish'])
  })

  it('keeps a lost tool lost when what it needs fails on the way', async () => {
    const middle = `[ -e marker ] && exit 0; echo > marker; exec sleep 600`
    await work.plan([note('build'), note('test', { needs: ['build'] }, middle)])
    const run = work.start('run', 'plan.json', '--data-dir', 'data')
    await work.made('marker')
    run.process.kill('SIGKILL')
    await run.ended
    await work.plan([note('build', {}, 'exit 1'), note('test', { needs: ['build'] }, middle)])
    expect(statuses((await work.run('--resume')).report)).toEqual({ build: 'unexpected now', test: 'lost before' })
  })

  it('runs what needs a tool again when that has run again, even if it was killed in between', async () => {
    const gate = 'if [ -e gate ]; then echo > waiting; exec sleep 600; fi'
    const tools = (level: string): object[] => [
      note('build', { env: { LEVEL: level } }),
      note('test', { needs: ['build'] }, gate),
      note('publish', { needs: ['test'] }),
      note('other'),
    ]
    await work.plan(tools('1'), { concurrency: 1 })
    await work.run()
    await rm(work.path('log'))
    await work.plan(tools('2'), { concurrency: 1 })
    await work.write('gate')
    const run = work.start('run', 'plan.json', '--data-dir', 'data')
    await work.made('waiting')
    run.process.kill('SIGKILL')
    await run.ended
    await rm(work.path('gate'))
    const { report } = await work.run('--resume')
    expect(statuses(report)).toEqual({
      build: 'as_expected before',
      test: 'as_expected now',
      publish: 'as_expected now',
      other: 'as_expected before',
    })
    expect(await order()).toEqual(['build', 'test', 'test', 'publish'])
  })

  it('takes no end for good that is older than that of what it needs', async () => {
    const build = (level: string): object => note('build', { env: { LEVEL: level } })
    const others = [note('test', { needs: ['build'] }), note('publish', { needs: ['test'] })]
    await work.plan([build('1'), ...others])
    await work.run()
    await work.plan([build('2')])
    await work.run()
    await work.plan([build('2'), ...others])
    expect(statuses((await work.run()).report)).toEqual({
      build: 'as_expected before',
      test: 'as_expected now',
      publish: 'as_expected now',
    })
    expect(await order()).toEqual(['build', 'test', 'publish', 'build', 'test', 'publish'])
  })

  it('with --retry-failed runs what failed and then what needs it, and decides anew about the rest', async () => {
    await work.plan([
      note('build', {}, '[ "$(grep -c build log)" -gt 1 ]'),
      note('test', { needs: ['build'] }),
      note('alarm', { needs: ['build'], after: 'failure' }),
      note('other'),
    ])
    await work.run()
    await rm(work.path('log'))
    await work.write('log', 'build\n')
    const { exitCode, report } = await work.run('--retry-failed')
    expect([exitCode, statuses(report)]).toEqual([
      0,
      { build: 'as_expected now', test: 'as_expected now', alarm: 'skipped', other: 'as_expected before' },
    ])
    expect(await order()).toEqual(['build', 'build', 'test'])
  })

  const names = ['a', 'b', 'c', 'd', 'e']
  const needs: Readonly<Record<string, string[]>> = { a: [], b: ['a'], c: ['a'], d: ['b', 'c'], e: ['d'] }

  it.each([1, 2, 4, 6, 9])(
    'is killed after %i lines: nothing begins before what it needs has ended, and nothing runs twice that is not lost',
    async (moment) => {
      const script = (name: string): string => `echo "begin ${name}" >> log; sleep 0.02; echo "end ${name}" >> log`
      await work.plan(names.map((name) => tool(name, script(name), { needs: needs[name] })))
      const run = work.start('run', 'plan.json', '--data-dir', 'data')
      const written = async (): Promise<number> => (await work.log()).length
      await expect.poll(written, { interval: 1, timeout: 10_000 }).toBeGreaterThanOrEqual(moment)
      run.process.kill('SIGKILL')
      await run.ended
      const { report } = await work.run()
      const lost = report.tools.filter(({ status }) => status === 'lost').map(({ name }) => name)
      expect((await work.run('--resume')).exitCode).toBe(0)
      const lines = await order()
      for (const name of names) {
        const begun = lines.flatMap((line, index) => (line === `begin ${name}` ? [index] : []))
        if (!lost.includes(name)) expect([name, begun.length]).toEqual([name, 1])
        for (const need of needs[name] ?? []) {
          const end = lines.indexOf(`end ${need}`)
          expect([name, need, end >= 0 && begun.every((index) => index > end)]).toEqual([name, need, true])
        }
      }
    },
  )
})
