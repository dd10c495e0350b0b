import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { statuses, tool, Workspace } from './support/cli.js'

let work: Workspace
beforeEach(async () => {
  work = await Workspace.create()
})
afterEach(() => work[Symbol.asyncDispose]())

const uuid = expect.stringMatching(/^[0-9a-f-]{36}$/)

describe('stateward run', () => {
  it('ends with 0 when every tool ends as the plan expects, and hands over the obligation', async () => {
    await work.plan([
      tool('good', 'echo hello'),
      tool('fails', 'exit 3', { expect: { exitCodes: [2, 3] } }),
      tool('hangs', 'exec sleep 600', { timeoutMs: 50, expect: { timeout: true } }),
    ])
    const { exitCode, report } = await work.run()
    expect(exitCode).toBe(0)
    expect(statuses(report)).toEqual({ good: 'as_expected now', fails: 'as_expected now', hangs: 'as_expected now' })
    expect(report).toMatchObject({
      plan: 'demo',
      session: 'plan:demo',
      dataDir: work.path('data'),
      exitCode: 0,
      hints: [],
    })
    const [good, fails, hangs] = report.tools
    expect(good?.process).toEqual({
      exitCode: 0,
      signal: null,
      timedOut: false,
      durationMs: expect.any(Number),
      outputBytes: 6,
      outputTail: 'hello\n',
      outputs: {},
    })
    expect(fails?.process).toMatchObject({ exitCode: 3, timedOut: false })
    expect(hangs?.process).toMatchObject({ exitCode: null, signal: 'SIGTERM', timedOut: true })
    const operationIds = report.tools.map(({ operationId }) => operationId)
    expect(operationIds).toEqual([uuid, uuid, uuid])
    expect(report.obligation).toEqual({ waitRequestId: uuid, turnId: uuid, operationIds })
  })

  it('shows outcomes, obligation and progress to people', async () => {
    await work.plan([
      tool('copy', 'echo "10% begun"; echo "100% done"', {
        progress: { pattern: '^(?<percent>\\d+)% (?<message>.*)$' },
      }),
      tool('lint', 'echo "line 3: bad"; exit 1'),
    ])
    const { exitCode, stdout, stderr } = await work.start('run', 'plan.json').ended
    expect(exitCode).toBe(1)
    expect(stderr).toContain('\nstart        copy\n')
    expect(stderr).toContain('\n             copy  10% begun\n')
    expect(stderr).toMatch(/\nok {11}copy {2}\d+ ms \([12] of 2\)\n/)
    expect(stdout.replaceAll(/\d+ ms/g, '5 ms').split('\n')).toEqual([
      'ok           copy  5 ms',
      'FAILED       lint  ended with exit code 1 instead of exit code 0, 5 ms',
      '    | line 3: bad',
      '1 of 2 tools ended as the plan expects',
      '1 tool failed: --retry-failed runs it again, and then what needs it',
      '',
    ])
    expect(existsSync(work.path('.stateward/demo/journal'))).toBe(true)
  })

  it('shows ids to those who ask for them', async () => {
    await work.plan([tool('good', 'exit 0')])
    const { stdout } = await work.start('run', 'plan.json', '--ids').ended
    expect(stdout).toMatch(
      /^ok {11}good {2}\d+ ms\n {4}[0-9a-f-]{36}\nwait request [0-9a-f-]{36}\nturn [0-9a-f-]{36}\n1 of 1 tool /,
    )
  })

  it('says each thing once where both streams end at one place', async () => {
    await work.plan([tool('good', 'exit 0'), tool('lint', 'echo "line 3: bad"; exit 1')], { concurrency: 1 })
    const { stdout } = await work.startMerged('run', 'plan.json', '--data-dir', 'data').ended
    expect(stdout.replaceAll(/\d+ ms/g, '5 ms').split('\n')).toEqual([
      `plan demo: 2 tools to run, 1 at once, data in ${work.path('data')}`,
      'start        good',
      'ok           good  5 ms (1 of 2)',
      'start        lint',
      'FAILED       lint  ended with exit code 1 instead of exit code 0, 5 ms (2 of 2)',
      'lint:',
      '    | line 3: bad',
      '1 of 2 tools ended as the plan expects',
      '1 tool failed: --retry-failed runs it again, and then what needs it',
      '',
    ])
  })

  it('prints nothing that a terminal would obey, and loses none of it in JSON', async () => {
    // U+202E turns the writing around, U+009B is the C1 form of "escape [".
    await work.plan([tool('sly', String.raw`printf 'ok \342\200\256gpj.exe\302\2332J\n'; exit 9`)])
    const people = await work.start('run', 'plan.json').ended
    expect(people.stdout + people.stderr).not.toMatch(/[\p{Bidi_Control}\u0080-\u009f]/u)
    expect(people.stdout).toContain('    | ok gpj.exe\n')
    const json = await work.start('run', 'plan.json', '--fresh', '--json').ended
    expect(json.stdout).not.toMatch(/[\p{Bidi_Control}\u0080-\u009f]/u)
    expect(JSON.parse(json.stdout).tools[0].process.outputTail).toBe('ok \u202egpj.exe\u009b2J\n')
  })

  it('ends with 1 when a tool ends differently', async () => {
    await work.plan([
      tool('fails', 'exit 1'),
      tool('passes', 'exit 0', { expect: { exitCodes: [1] } }),
      tool('crashes', 'kill -SEGV $$'),
      tool('hangs', 'exec sleep 600', { timeoutMs: 50 }),
      tool('hurries', 'exit 0', { timeoutMs: 60_000, expect: { timeout: true } }),
      { name: 'missing', command: './no-such-program' },
      tool('good', 'exit 0'),
    ])
    const { exitCode, report } = await work.run()
    expect(exitCode).toBe(1)
    expect(report.tools.map(({ name, reason }) => [name, reason])).toEqual([
      ['fails', 'ended with exit code 1 instead of exit code 0'],
      ['passes', 'ended with exit code 0 instead of exit code 1'],
      ['crashes', 'was ended by SIGSEGV instead of exit code 0'],
      ['hangs', 'timed out after 50 ms instead of ending with exit code 0'],
      ['hurries', 'ended with exit code 0 instead of timing out after 60000 ms'],
      ['missing', 'cannot start ./no-such-program: no such program'],
      ['good', null],
    ])
  })

  it('ends with 2 and starts nothing when the plan is bad, naming file, field and reason', async () => {
    await work.plan([tool('a', 'echo ran >> log'), { name: 'b', command: 'x', timeoutMs: -1 }])
    const { exitCode, stdout, stderr } = await work.start('run', 'plan.json', '--data-dir', 'data').ended
    expect([exitCode, stdout]).toEqual([2, ''])
    expect(stderr).toBe(
      'stateward: invalid plan.json: tools.1.timeoutMs: a timeout must be a whole number from 1 to 2147483647\n',
    )
    expect(existsSync(work.path('data'))).toBe(false)
    expect(await work.log()).toEqual([])
  })

  it.each([
    [
      'a directory that is missing',
      [{ name: 'a', command: 'x', cwd: 'nowhere' }],
      /plan\.json: tools\.0\.cwd: no such directory: .*nowhere\n$/,
    ],
    [
      'a file for a directory',
      [{ name: 'a', command: 'x', cwd: 'plan.json' }],
      /plan\.json: tools\.0\.cwd: no such directory/,
    ],
  ])('ends with 2 for %s', async (_, tools, reason) => {
    await work.plan(tools)
    expect(await work.start('run', 'plan.json').ended).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(reason),
    })
  })

  it('ends with 2 for a plan that is missing, cannot be read, or is not UTF-8', async () => {
    const missing = await work.start('run', 'plan.json').ended
    expect(missing).toMatchObject({ exitCode: 2, stderr: 'stateward: there is no plan file plan.json\n' })
    const folder = await work.start('run', '.').ended
    expect(folder).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/^stateward: cannot read \.: EISDIR/) })
    await writeFile(work.path('plan.json'), Buffer.from([0x7b, 0xff]))
    const binary = await work.start('run', 'plan.json').ended
    expect(binary).toMatchObject({ exitCode: 2, stderr: 'stateward: invalid plan.json: $: not UTF-8\n' })
  })

  it('says little about a plan that is huge, and shows nothing of it that a terminal would obey', async () => {
    await writeFile(work.path('plan.json'), JSON.stringify({ [`\u001b[2J\u202e${'k'.repeat(500_000)}`]: 1 }))
    const { exitCode, stderr } = await work.start('check', 'plan.json').ended
    expect([exitCode, stderr.length < 2100]).toEqual([2, true])
    expect(stderr).toMatch(/^stateward: invalid plan\.json: k+…\n$/)
    await writeFile(work.path('plan.json'), '['.repeat(500_000))
    const deep = await work.start('check', 'plan.json').ended
    expect(deep).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^stateward: invalid plan\.json: \$: not JSON/),
    })
  })

  it('ends with 2 for a command line that cannot be understood, and with 0 for help and version', async () => {
    expect(await work.start('walk').ended).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--help') })
    expect(await work.start('--help').ended).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^Usage: /) })
    expect(await work.start('--version').ended).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    })
  })

  it('runs no more tools at once than the plan allows', async () => {
    // The first two go on only when both are there.
    const meet = 'echo + >> log; while [ "$(grep -c + log)" -lt 2 ]; do sleep 0.01; done; echo - >> log'
    await work.plan(
      Array.from({ length: 6 }, (_, index) => tool(`t${index}`, meet)),
      { concurrency: 2 },
    )
    expect((await work.run()).exitCode).toBe(0)
    let running = 0
    const depths = (await work.read('log')).split('\n').map((mark) => (running += mark === '+' ? 1 : -1))
    expect([depths.length, Math.max(...depths)]).toEqual([12, 2])
  })

  it('runs a tool in its directory with its variables and the id of its operation', async () => {
    await work.plan([
      tool('show', 'pwd; echo "$GREETING"; echo "$STATEWARD_OPERATION_ID"', { cwd: '..', env: { GREETING: 'hi' } }),
    ])
    const { report } = await work.run()
    const [show] = report.tools
    const [cwd, greeting, id] = show?.process?.outputTail.split('\n') ?? []
    expect([work.folder.startsWith(cwd ?? '-'), greeting, id]).toEqual([true, 'hi', show?.operationId])
  })

  it('refuses a data directory that another run uses, and leaves that run alone', async () => {
    await work.plan([tool('wait', 'echo > here; while [ ! -e go ]; do sleep 0.01; done')])
    const first = work.start('run', 'plan.json', '--data-dir', 'data')
    await work.made('here')
    const second = await work.start('run', 'plan.json', '--data-dir', 'data', '--fresh').ended
    expect(second).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringMatching(/^stateward: .*\n$/) })
    await writeFile(work.path('go'), '')
    expect(await first.ended).toMatchObject({ exitCode: 0 })
  })

  it('runs the tools to their end although nobody reads what it prints', async () => {
    await work.plan([tool('wait', 'echo > here; while [ ! -e go ]; do sleep 0.01; done; echo > gone')])
    const run = work.start('run', 'plan.json')
    await work.made('here')
    run.process.stdout.destroy()
    run.process.stderr.destroy()
    await writeFile(work.path('go'), '')
    expect(await run.ended).toMatchObject({ exitCode: 0 })
    expect(existsSync(work.path('gone'))).toBe(true)
  })

  it('starts no tool whose start cannot be recorded', async () => {
    await work.plan([tool('a', 'echo ran >> log')])
    const run = work.startOnFullDisk(16_384, 'run', 'plan.json', '--data-dir', 'data')
    await expect.poll(() => run.stderr, { interval: 5, timeout: 5000 }).toContain('not durable yet')
    run.process.kill('SIGINT')
    await expect.poll(() => run.stderr, { interval: 5 }).toContain('asked to end')
    run.process.kill('SIGINT')
    const { exitCode, stderr } = await run.ended
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/\nstateward: not appended: .*EFBIG\n$/)])
    expect(await work.log()).toEqual([])
  })
})
