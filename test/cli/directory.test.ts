import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { showStatus } from '../../src/cli/directory/status.js'
import { statusText } from '../../src/cli/directory/status-text.js'
import { tail } from '../../src/cli/directory/tail.js'
import type { DirectorySummary } from '../../src/directory-summary.js'
import { createRuntime } from '../../src/runtime.js'
import { TerminalFailure, type RunId, type TaskId } from '../../src/tasks/index.js'
import { tool, Workspace } from './support/cli.js'

let work: Workspace
beforeEach(async () => {
  work = await Workspace.create()
})
afterEach(() => work[Symbol.asyncDispose]())

const waits = tool('waits', 'echo > here; while [ ! -e go ]; do sleep 0.01; done')

/** What `stateward status` says in JSON. */
async function status(): Promise<DirectorySummary & { readonly directory: string }> {
  const { exitCode, stdout, stderr } = await work.start('status', 'data', '--json').ended
  expect([exitCode, stderr]).toEqual([0, ''])
  return JSON.parse(stdout) as DirectorySummary & { readonly directory: string }
}

describe('stateward status', () => {
  it('tells of a directory beside its owner, of what a killed one has left, and of what is done', async () => {
    await work.plan([tool('first', 'exit 0'), { ...waits, needs: ['first'] }])
    const run = work.start('run', 'plan.json', '--data-dir', 'data')
    await work.made('here')
    const live = await status()
    expect(live).toMatchObject({
      directory: work.path('data/journal'),
      owner: { pid: run.process.pid, standing: 'running' },
      sessions: { entries: [{ id: 'plan:demo', unfinished: { total: 1 }, ended: { completed: 1 } }] },
    })
    const told = await work.start('status', 'data').ended
    expect(
      told.stdout
        .replace(/for [\d.]+ m?s$/m, 'for a while')
        .split('\n')
        .slice(1),
    ).toEqual([
      'sessions: 1',
      '  plan:demo  1 running, 1 completed',
      '    waits  background_tool_op  running for a while',
      'tasks: 0',
      '',
    ])
    run.process.kill('SIGKILL')
    await run.ended
    expect((await status()).owner).toMatchObject({ standing: 'ended' })
    const dead = await work.start('status', 'data').ended
    expect(dead.stdout).toMatch(/, left by process \d+ on \S+, which did not close it\n/)
    expect(dead.stdout).toMatch(/\n {4}waits {2}background_tool_op {2}lost, started [\d.]+ m?s ago\n/)
    await work.write('go')
    expect((await work.run('--resume')).exitCode).toBe(0)
    expect(await status()).toMatchObject({ owner: null, sessions: { entries: [{ ended: { completed: 2 } }] } })
  })

  it('watches, and stops when asked to', async () => {
    await work.plan([waits])
    const run = work.start('run', 'plan.json', '--data-dir', 'data')
    await work.made('here')
    const watch = work.start('status', 'data', '--watch', '--json')
    await expect.poll(() => watch.stdout, { interval: 5, timeout: 10_000 }).toContain('"total":1')
    await work.write('go')
    await run.ended
    await expect.poll(() => watch.stdout, { interval: 5, timeout: 10_000 }).toContain('"owner":null')
    expect(watch.stdout.split('\n').length).toBeGreaterThan(2)
    watch.process.kill('SIGINT')
    expect(await watch.ended).toMatchObject({ exitCode: 0, stderr: '' })
  })

  it('draws one picture in the place of the other on a terminal, never higher than that', async () => {
    await using runtime = await createRuntime({ dataDir: work.path('data') })
    for (let index = 0; index < 10; index += 1) runtime.session(`session-${index}`)
    await runtime.flush()
    const over = new AbortController()
    const written: string[] = []
    const target = { write: (text: string) => written.push(text), isTTY: true, columns: 60, rows: 5 }
    const watching = showStatus({ directory: work.path('data'), watch: true, json: false }, target, over.signal)
    await expect.poll(() => written.length, { interval: 5, timeout: 10_000 }).toBe(1)
    await runtime.deleteSession('session-0')
    await expect.poll(() => written.length, { interval: 5, timeout: 10_000 }).toBe(2)
    over.abort()
    await watching
    const lines = ['sessions: 10', '  session-0  nothing yet', '  session-1  nothing yet', '']
    expect(written[0]?.split('\n').slice(1)).toEqual(lines)
    expect(written[1]?.replaceAll('\u001B[', '<')).toMatch(/^<4F<0J.*\nsessions: 9\n/)
  })

  it('ends when nobody reads it any more', async () => {
    await work.plan([waits])
    const run = work.start('run', 'plan.json', '--data-dir', 'data')
    await work.made('here')
    const watch = work.start('status', 'data', '--watch', '--json')
    await expect.poll(() => watch.stdout, { interval: 5, timeout: 10_000 }).toContain('"total":1')
    watch.process.stdout.destroy()
    await work.write('go')
    await run.ended
    expect(await watch.ended).toMatchObject({ exitCode: 0, stderr: '' })
  })

  it('tells what is broken at the end of the log, and what was cut from it', async () => {
    await work.plan([tool('first', 'exit 0')])
    await work.run()
    const journal = work.path('data/journal')
    const [log = ''] = (await readdir(journal)).filter((name) => name.endsWith('.log'))
    const bytes = await readFile(join(journal, log))
    const end = bytes.findLastIndex((byte) => byte !== 0) + 1
    bytes.writeUInt8(bytes.readUInt8(end - 5) ^ 1, end - 5)
    await writeFile(join(journal, log), bytes)
    expect(await status()).toMatchObject({ brokenEnd: { cause: 'damage', file: join(journal, log) }, cuts: [] })
    await work.start('run', 'plan.json', '--data-dir', 'data', '--cut-damage').ended
    expect(await status()).toMatchObject({
      brokenEnd: null,
      cuts: [expect.stringMatching(/^cut-\d+-[0-9a-f]{8}\.bin$/)],
    })
    const told = await work.start('status', 'data').ended
    expect(told.stdout).toMatch(/\ncut from the end of the log by earlier openings:\n {2}cut-\d+-/)
  })

  it('refuses a directory without a journal', async () => {
    expect(await work.start('status', '.').ended).toMatchObject({
      exitCode: 2,
      stdout: '',
      stderr: 'stateward: there is no journal in .\n',
    })
  })

  it('keeps its columns, and shows nothing that a terminal would obey', () => {
    const nothing = { total: 0, entries: [] }
    const summary: DirectorySummary = {
      nextSequence: 8,
      owner: null,
      brokenEnd: null,
      cuts: [],
      sessions: {
        total: 2,
        entries: [
          {
            id: `agent\u001b[2J\u202e${'x'.repeat(100)}`,
            unfinished: nothing,
            ended: { completed: 3 },
            lastEnd: 3,
          },
        ],
      },
      tasks: {
        total: 1,
        paused: true,
        runs: {} as DirectorySummary['tasks']['runs'],
        kinds: { total: 1, entries: [{ kind: 'report', runs: { retry_wait: 1 } }] },
        budgets: nothing,
        running: {
          total: 1,
          entries: [
            {
              runId: 'r2',
              taskId: 't2',
              kind: 'report',
              attemptId: 'a2',
              attempt: 2,
              startedAtMs: -2000,
              isWaiting: true,
              steps: { total: 3, entries: ['plan', 'x\u001b[2J'] },
            },
          ],
        },
        questions: {
          total: 1,
          entries: [
            {
              taskId: 't2' as TaskId,
              runId: 'r2' as RunId,
              kind: 'report',
              name: 'ok',
              whom: 'editor',
              askedAtMs: 0,
              untilMs: 5000,
            },
          ],
        },
        waiting: {
          total: 1,
          entries: [
            { runId: 'r1', taskId: 't1', kind: 'report', waitsFor: 'its retry', untilMs: 61_000, reason: null },
          ],
        },
      },
      processes: {
        total: 3,
        statuses: { completed: 2, running: 1 },
        open: {
          total: 1,
          entries: [
            {
              id: 'p1',
              kind: 'agent',
              label: 'cranes',
              attempt: 1,
              waitsFor: 'signal approval',
              sinceMs: 0,
              untilMs: null,
            },
          ],
        },
      },
    }
    expect(statusText('/data', summary, { columns: 40, nowMs: 0 }).split('\n')).toEqual([
      '/data: 7 records, no owner',
      'sessions: 2',
      '  agentxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…',
      '  and 1 more',
      'tasks: 1, paused',
      '  report  1 retry_wait',
      'attempts: 1',
      '  r2  report  attempt 2 interrupted, st…',
      'waiting: 1',
      '  r1  report  waits for its retry, in 1…',
      'questions: 1',
      '  t2  report  asks for ok of editor, in…',
      'processes: 2 completed, 1 running',
      '  p1  agent  cranes  waits for signal a…',
      '',
    ])
  })
})

describe('stateward tail', () => {
  it('tells the last events, then those that come, and ends with their owner', async () => {
    await work.plan([tool('first', 'exit 0'), { ...waits, needs: ['first'] }])
    const run = work.start('run', 'plan.json', '--data-dir', 'data')
    await work.made('here')
    const tail = work.start('tail', 'data', '--lines', '2', '--json')
    await expect.poll(() => tail.stdout, { interval: 5, timeout: 10_000 }).toMatch(/\n.*\n/)
    await work.write('go')
    await run.ended
    const { exitCode, stdout } = await tail.ended
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { sequence: number; stream: string; event: { type: string } })
    expect(exitCode).toBe(0)
    expect(events.map(({ stream, event }) => [stream, event.type])).toEqual([
      ['operations/plan:demo', 'operation_registered'],
      ['operations/plan:demo', 'operation_started'],
      ['operations/plan:demo', 'operation_ended'],
    ])
    const [first = 0] = events.map(({ sequence }) => sequence)
    expect(events.map(({ sequence }) => sequence - first)).toEqual([0, 1, 2])
  })

  it('tells people one line per event, on a dead directory too', async () => {
    await work.plan([tool('only', 'exit 0')])
    await work.run()
    const { exitCode, stdout } = await work.start('tail', 'data').ended
    expect(exitCode).toBe(0)
    expect(stdout.split('\n').map((line) => line.split('  ').slice(0, 3))).toEqual([
      ['1', 'operations/plan:demo', 'session_opened'],
      ['2', 'operations/plan:demo', 'operation_registered'],
      ['3', 'operations/plan:demo', 'operation_started'],
      ['4', 'operations/plan:demo', 'operation_ended'],
      [''],
    ])
    expect((await work.start('tail', 'data', '--lines', '0').ended).stdout).toBe('')
    expect((await work.start('tail', 'data', '--lines', 'x').ended).exitCode).toBe(2)
  })

  it('masks secrets for people, and says in JSON what the journal holds', async () => {
    const directory = work.path('service')
    const runtime = await createRuntime({ dataDir: directory })
    runtime.tasks.handle('work', () => {
      throw new TerminalFailure('password=hunter2')
    })
    await (await runtime.tasks.submit('work', null)).outcome()
    await runtime.close()
    const output = async (json: boolean): Promise<string> => {
      const written: string[] = []
      const target = { write: (text: string) => written.push(text), columns: 240 }
      await tail({ directory, lines: 1, json }, target, new AbortController().signal)
      return written.join('')
    }
    expect(await output(false)).toMatch(/attempt_ended .*password=\[masked\]/)
    expect(await output(true)).toContain('password=hunter2')
  })
})
