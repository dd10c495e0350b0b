import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../../../src/work/children/run-command.js'
import { buildLibrary } from '../../support/build.js'
import { expectGone } from '../../support/processes.js'

let cwd: string
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'stateward-command-'))
})
afterAll(async () => {
  await rm(cwd, { recursive: true })
})

/** Starts a daemon in a session of its own that holds the output open, and waits until it has said its pid. */
const daemon = `setsid sh -c 'trap "" TERM; echo $$ >daemon; sleep 600' & while [ ! -s daemon ]; do :; done`

async function daemonPid(): Promise<number> {
  const pid = Number(await readFile(join(cwd, 'daemon'), 'utf8'))
  await rm(join(cwd, 'daemon'))
  return pid
}

describe('a command [P-231]', () => {
  it('does not outlive a process that is killed, nor does what it has started', async () => {
    const dist = pathToFileURL(await buildLibrary()).href
    const script = `
      import { runCommand } from '${dist}/src/work/children/run-command.js'
      await runCommand('true')
      const onLine = (line) => process.stdout.write(line + '\\n')
      await runCommand('sh', ['-c', ${JSON.stringify(`trap '' TERM; setsid sleep 600 & echo $! $$; sleep 600`)}], { onLine })
    `
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [bytes] = (await once(owner.stdout, 'data')) as [Buffer]
    const pids = bytes.toString().trim().split(' ').map(Number)
    expect(pids).toHaveLength(2)
    owner.kill('SIGKILL')
    for (const pid of pids) await expectGone(pid)
  }, 120_000)

  it('does not outlive it either when it has thrown its environment away', async () => {
    const dist = pathToFileURL(await buildLibrary()).href
    const script = `
      import { runCommand } from '${dist}/src/work/children/run-command.js'
      const onLine = (line) => process.stdout.write(line + '\\n')
      await runCommand('env', ['-i', 'sh', '-c', 'echo $$; sleep 600'], { onLine })
    `
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [bytes] = (await once(owner.stdout, 'data')) as [Buffer]
    owner.kill('SIGKILL')
    await expectGone(Number(bytes.toString()))
  }, 120_000)

  it('resolves with how it ended, whatever that is', async () => {
    const lines: string[] = []
    const onLine = (line: string): void => void lines.push(line)
    const report = await runCommand('sh', ['-c', 'echo "$COLOUR"; exit 3'], { cwd, env: { COLOUR: 'blue' }, onLine })
    expect(report).toMatchObject({ exitCode: 3, signal: null, timedOut: false, outputTail: 'blue\n', outputBytes: 5 })
    expect([lines, report]).toEqual([['blue'], expect.not.objectContaining({ interrupted: false })])
  })

  it('ends what it has left running in a session of its own, without waiting for it', async () => {
    const { exitCode } = await runCommand('sh', ['-c', daemon], { cwd, graceMs: 600_000 })
    expect(exitCode).toBe(0)
    await expectGone(await daemonPid())
  })

  it('rejects with the reason of its signal once nothing of it is left', async () => {
    const enough = new AbortController()
    const running = runCommand('sh', ['-c', `${daemon}; echo up; exec sleep 600`], {
      cwd,
      signal: enough.signal,
      onLine: () => enough.abort(new Error('enough')),
    })
    await expect(running).rejects.toThrow('enough')
    await expectGone(await daemonPid())
  })

  it('is asked to end when its time is over', async () => {
    expect(await runCommand('sleep', ['600'], { timeoutMs: 10 })).toMatchObject({ timedOut: true, signal: 'SIGTERM' })
  })

  it.each([
    [runCommand.bind(null, 7 as never), 'invalid_input'],
    [runCommand.bind(null, 'ls', [7 as never]), 'invalid_input'],
    [runCommand.bind(null, 'ls', [], { timeout: 1 } as never), 'invalid_input'],
    [runCommand.bind(null, 'no-such-program'), 'child_not_started'],
  ])('is refused when it cannot be', async (call, code) => {
    await expect(call()).rejects.toMatchObject({ code })
  })
})
