import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { maxLineLength } from '../../../src/work/children/output-lines.js'
import type { ChildCommand } from '../../../src/work/children/child-command.js'
import { outputTailBytes, runChildProcess, type ChildProcessOptions } from '../../../src/work/children/child-process.js'
import { systemClock } from '../../../src/base/clock.js'
import { DeadlineQueue } from '../../../src/base/deadline-queue.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { buildLibrary } from '../../support/build.js'
import { expectGone, isRunning } from '../../support/processes.js'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stateward-tool-'))
})
afterAll(async () => {
  await rm(directory, { recursive: true })
})

function shell(script: string, more: Partial<ChildCommand> = {}): ChildCommand {
  return { command: 'sh', args: ['-c', script], cwd: directory, env: process.env, ...more }
}

/** Runs on a simulated clock: only the tests decide when a timeout or a grace period has passed. */
function simulated() {
  const clock = new SimulatedClock()
  const deadlines = new DeadlineQueue(clock)
  const run = (call: ChildCommand, options: Partial<ChildProcessOptions> = {}) =>
    runChildProcess(call, { clock, deadlines, graceMs: 1000, ...options })
  return { clock, deadlines, run }
}

/** Announces itself once it ignores SIGTERM, and starts a grandchild that does too, whose pid it prints. */
const stubborn = `trap '' TERM; sleep 600 & echo "grandchild $!"; wait; sleep 600`

describe('a tool process', () => {
  it('reports the exit code, the time and both output streams', async () => {
    const lines: string[] = []
    const report = await runChildProcess(shell('echo one; echo two >&2; exit 3'), {
      clock: systemClock,
      deadlines: new DeadlineQueue(systemClock),
      onLine: (line, stream) => lines.push(`${stream} ${line}`),
    })
    expect(report).toMatchObject({ exitCode: 3, signal: null, timedOut: false, interrupted: false, outputBytes: 8 })
    expect(report.durationMs).toBeGreaterThanOrEqual(0)
    expect(lines.sort()).toEqual(['stderr two', 'stdout one'])
    expect(report.outputTail.split('\n').sort()).toEqual(['', 'one', 'two'])
  })

  it('runs in its directory with exactly its environment and no input', async () => {
    const { run } = simulated()
    const call = shell('pwd; echo "$COLOUR"; env | wc -l; cat', { env: { PATH: process.env['PATH'], COLOUR: 'blue' } })
    const { outputTail } = await run(call)
    const [cwd, colour] = outputTail.split('\n')
    expect([cwd?.endsWith(directory), colour]).toEqual([true, 'blue'])
  })

  it('names the signal that ended it', async () => {
    const { run } = simulated()
    expect(await run(shell('kill -USR1 $$'))).toMatchObject({ exitCode: null, signal: 'SIGUSR1', interrupted: false })
  })

  it('fails with child_not_started when there is no such program', async () => {
    const { run, clock } = simulated()
    const call: ChildCommand = { command: 'no-such-program', args: [], cwd: directory, env: process.env, timeoutMs: 5 }
    await expect(run(call)).rejects.toMatchObject({
      code: 'child_not_started',
      message: 'cannot start no-such-program: no such program',
      data: { systemCode: 'ENOENT' },
    })
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('names the folder where that is what is missing', async () => {
    const { run } = simulated()
    const call: ChildCommand = { command: 'true', args: [], cwd: `${directory}/nowhere`, env: process.env }
    await expect(run(call)).rejects.toMatchObject({
      code: 'child_not_started',
      message: `cannot start true: no such folder: ${directory}/nowhere`,
    })
  })

  it('fails with child_not_started when the file is no program', async () => {
    const { run } = simulated()
    await expect(run({ command: directory, args: [], cwd: directory, env: {} })).rejects.toMatchObject({
      code: 'child_not_started',
      data: { systemCode: 'EACCES' },
    })
  })

  it('is asked to end by its timeout', async () => {
    const { clock, deadlines, run } = simulated()
    const report = await run(shell('echo ready; exec sleep 600', { timeoutMs: 200 }), {
      onLine: () => clock.advance(200),
    })
    expect(report).toMatchObject({
      exitCode: null,
      signal: 'SIGTERM',
      timedOut: true,
      interrupted: false,
      durationMs: 200,
    })
    expect([deadlines.size, clock.pendingTimeouts]).toEqual([0, 0])
  })

  it('is not asked before its timeout has passed', async () => {
    const { clock, run } = simulated()
    const report = await run(shell('echo ready; exit 0', { timeoutMs: 200 }), { onLine: () => clock.advance(199) })
    expect(report).toMatchObject({ exitCode: 0, timedOut: false })
  })

  it('may end with a code of its own when it is asked to end', async () => {
    const { run } = simulated()
    const retire = new AbortController()
    const report = await run(shell(`trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done`), {
      retiring: retire.signal,
      onLine: () => retire.abort(),
    })
    expect(report).toMatchObject({ exitCode: 7, signal: null, interrupted: true, timedOut: false })
  })

  it('is killed with its whole group when the grace period has passed', async () => {
    const { clock, run } = simulated()
    const cancel = new AbortController()
    let grandchild = 0
    const report = await run(shell(stubborn), {
      signal: cancel.signal,
      onLine: (line) => {
        grandchild = Number(line.split(' ')[1])
        cancel.abort()
        clock.advance(999)
        expect(isRunning(grandchild)).toBe(true)
        clock.advance(1)
      },
    })
    expect(report).toMatchObject({ exitCode: null, signal: 'SIGKILL', interrupted: true })
    await expectGone(grandchild)
  })

  it('is killed at once when it was asked before', async () => {
    const { clock, run } = simulated()
    const [retire, terminate] = [new AbortController(), new AbortController()]
    let grandchild = 0
    const report = await run(shell(stubborn), {
      retiring: retire.signal,
      signal: terminate.signal,
      onLine: (line) => {
        grandchild = Number(line.split(' ')[1])
        retire.abort()
        terminate.abort()
      },
    })
    expect(report).toMatchObject({ signal: 'SIGKILL', interrupted: true })
    expect(clock.pendingTimeouts).toBe(0)
    await expectGone(grandchild)
  })

  it('takes with it what it leaves running', async () => {
    const { run } = simulated()
    const { exitCode, outputTail } = await run(
      shell(`trap '' TERM; sleep 600 & echo $!; sleep 600 >/dev/null 2>&1 & echo $!`),
    )
    expect(exitCode).toBe(0)
    for (const pid of outputTail.trim().split('\n')) await expectGone(Number(pid))
  })

  it('settles although a process that left its group holds its output open', async () => {
    const { clock, deadlines, run } = simulated()
    const leave = `require('child_process').spawn('sleep', ['600'], { detached: true, stdio: 'inherit' })`
    const running = run({
      command: process.execPath,
      args: ['-e', `const child = ${leave}; console.log(child.pid); process.exit()`],
      cwd: directory,
      env: process.env,
    })
    await expect.poll(() => deadlines.size, { interval: 5 }).toBe(1)
    clock.advance(1000)
    const { outputTail } = await running
    const daemon = Number(outputTail)
    expect(isRunning(daemon)).toBe(true)
    process.kill(daemon, 'SIGKILL')
  })

  it('is not started for a signal that has aborted already', async () => {
    const { run } = simulated()
    await expect(run(shell('echo >started'), { signal: AbortSignal.abort(new Error('too late')) })).rejects.toThrow(
      'too late',
    )
    await expect(run(shell('test ! -e started'))).resolves.toMatchObject({ exitCode: 0 })
  })

  it('is killed when it cannot be recorded', async () => {
    const { run } = simulated()
    let started = 0
    const running = run(shell('exec sleep 600'), {
      onStarted: (pid) => {
        started = pid
        throw new Error('disk full')
      },
    })
    await expect(running).rejects.toThrow('disk full')
    await expectGone(started)
  })

  it('hands on long lines cut, and keeps the tail of much output', async () => {
    const { run } = simulated()
    const lines: string[] = []
    const script = `process.stdout.write('a'.repeat(10_000) + '\\nshort\\n' + 'é'.repeat(9000) + '!')`
    const call: ChildCommand = { command: process.execPath, args: ['-e', script], cwd: directory, env: process.env }
    const report = await run(call, { onLine: (line) => lines.push(line) })
    expect(lines.map(({ length }) => length)).toEqual([maxLineLength, 5, maxLineLength])
    expect(report.outputBytes).toBe(28_008)
    expect(Buffer.byteLength(report.outputTail)).toBe(outputTailBytes - 1)
    expect(report.outputTail).toMatch(/^é+!$/)
  })

  it('leaves neither timers nor listeners behind', async () => {
    const { clock, deadlines, run } = simulated()
    const before = process.listenerCount('exit')
    await run(shell('exit 0', { timeoutMs: 1000 }))
    expect([clock.pendingTimeouts, deadlines.size, process.listenerCount('exit')]).toEqual([0, 0, before])
  })
})

describe('the end of the process that runs children', () => {
  it.each(['process.exit(3)', 'throw new Error("a fault")'])('takes the children with it: %s', async (end) => {
    const dist = pathToFileURL(await buildLibrary()).href
    const script = `
      import { runChildProcess } from '${dist}/src/work/children/child-process.js'
      import { systemClock as clock } from '${dist}/src/base/clock.js'
      import { DeadlineQueue } from '${dist}/src/base/deadline-queue.js'
      const call = ${JSON.stringify(shell(stubborn, { env: {} }))}
      const onLine = (line) => { process.stdout.write(line + '\\n', () => { ${end} }) }
      await runChildProcess(call, { clock, deadlines: new DeadlineQueue(clock), onLine })
    `
    const runner = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const output = await text(runner.stdout)
    expect(output).toMatch(/^grandchild \d+\n$/)
    await expectGone(Number(output.split(' ')[1]))
  })
})

describe('a tool process that is put on record [P-298]', () => {
  const recorded = { onStarted: () => {} }

  it('has not begun before it is: when its owner is killed until then, nothing of it was ever there', async () => {
    const dist = pathToFileURL(await buildLibrary()).href
    const script = `
      import { writeSync } from 'node:fs'
      import { systemClock as clock } from '${dist}/src/base/clock.js'
      import { DeadlineQueue } from '${dist}/src/base/deadline-queue.js'
      import { runChildProcess } from '${dist}/src/work/children/child-process.js'
      const args = ['-i', 'sh', '-c', 'touch ran; exec sleep 600']
      const onStarted = (pid) => {
        writeSync(1, pid + '\\n')
        process.kill(process.pid, 'SIGKILL')
      }
      await runChildProcess(
        { command: 'env', args, cwd: process.argv[1], env: process.env },
        { clock, deadlines: new DeadlineQueue(clock), onStarted },
      )
    `
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', script, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await expectGone(Number(await text(owner.stdout)))
    expect(existsSync(join(directory, 'ran'))).toBe(false)
  }, 120_000)

  it('is given its arguments and its environment as they are', async () => {
    const { run } = simulated()
    const args = ['-c', 'printf "<%s>" "$@"', 'sh', 'two words', '', '-n', '$HOME', 'a\nb', '"']
    const { outputTail } = await run({ command: 'sh', args, cwd: directory, env: process.env }, recorded)
    expect(outputTail).toBe('<two words><><-n><$HOME><a\nb><">')
    const env = { PATH: process.env['PATH'], 'with.dot': 'a b', 'x-y': '=', plain: '' }
    const shown = await run({ command: 'env', args: [], cwd: directory, env }, recorded)
    expect(shown.outputTail.split('\n')).toEqual(expect.arrayContaining(['with.dot=a b', 'x-y==', 'plain=']))
  })

  it('is looked for in the PATH that it is given, from its directory on', async () => {
    const { run } = simulated()
    await writeFile(join(directory, 'mine'), '#!/bin/sh\nexit 7\n', { mode: 0o755 })
    for (const [command, path] of [
      ['mine', '/nowhere:.'],
      ['./mine', ''],
    ] as const) {
      const { exitCode } = await run({ command, args: [], cwd: directory, env: { PATH: path } }, recorded)
      expect([command, exitCode]).toEqual([command, 7])
    }
    expect(await run(shell('exit 127'), recorded)).toMatchObject({ exitCode: 127 })
  })

  it('fails with child_not_started when the system cannot run it', async () => {
    const { run } = simulated()
    await writeFile(join(directory, 'strange'), '#!/no/such/interpreter\n', { mode: 0o755 })
    for (const command of ['./strange', './missing', '-missing', directory]) {
      const running = run({ command, args: [], cwd: directory, env: process.env }, recorded)
      await expect(running).rejects.toMatchObject({ code: 'child_not_started' })
    }
  })
})
