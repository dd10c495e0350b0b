import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { operationVariable, ProcessRecords } from '../../../src/work/children/process-records.js'
import { systemClock, type Clock } from '../../../src/base/clock.js'
import { hasVariable, readBootId, readProcessStatus } from '../../../src/base/process-status.js'
import { expectGone, isRunning } from '../../support/processes.js'

const operationId = '019a0000-0000-7000-8000-000000000001'
const otherId = '019a0000-0000-7000-8000-000000000002'

let directory: string
let started: ChildProcess[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stateward-records-'))
})
afterEach(async () => {
  for (const child of started) child.kill('SIGKILL')
  started = []
  await rm(directory, { recursive: true })
})

/** Starts a leader of its own group; its environment names no operation unless `operation` is given. */
function startLeader(script: string, operation?: string): { pid: number; child: ChildProcess } {
  const env = { PATH: process.env['PATH'], ...(operation !== undefined && { [operationVariable]: operation }) }
  const child = spawn('sh', ['-c', script], { detached: true, env, stdio: ['ignore', 'pipe', 'ignore'] })
  started.push(child)
  return { pid: child.pid ?? 0, child }
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  const [bytes] = (await once(stdout as NodeJS.EventEmitter, 'data')) as [Buffer]
  return bytes.toString().trim()
}

describe('process records', () => {
  it('are gone once the operation has no process any more', async () => {
    const records = new ProcessRecords(directory)
    const record = records.open(operationId)
    record.started(startLeader('exec sleep 600').pid)
    expect(await readdir(directory)).toEqual([operationId])
    record[Symbol.dispose]()
    expect(await readdir(directory)).toEqual([])
    expect(await records.reap(systemClock)).toEqual([])
  })

  it('let the next process kill a recorded process together with its group', async () => {
    const { pid, child } = startLeader(`trap '' TERM; sleep 600 & echo $!; wait`)
    const grandchild = Number(await firstLine(child))
    new ProcessRecords(directory).open(operationId).started(pid)
    const records = new ProcessRecords(directory)
    expect(await records.reap(systemClock)).toEqual([{ operationId, killed: 2, leftPids: [] }])
    await expectGone(pid)
    await expectGone(grandchild)
    expect(await readdir(directory)).toEqual([])
  })

  it('let it find the rest of a group whose leader has gone, by the operation in its environment', async () => {
    const { pid, child } = startLeader(`sleep 600 >/dev/null & echo $!`, operationId)
    const exited = once(child, 'exit')
    const records = new ProcessRecords(directory)
    records.open(operationId).started(pid)
    const grandchild = Number(await firstLine(child))
    await exited
    expect(isRunning(grandchild)).toBe(true)
    expect(await records.reap(systemClock)).toEqual([{ operationId, killed: 1, leftPids: [] }])
    await expectGone(grandchild)
  })

  it('let it find a process that was started but not recorded any more', async () => {
    const { pid, child } = startLeader('echo ready; exec sleep 600', operationId)
    await firstLine(child)
    const records = new ProcessRecords(directory)
    records.open(operationId)
    expect(await records.reap(systemClock)).toEqual([{ operationId, killed: 1, leftPids: [] }])
    await expectGone(pid)
  })

  it('let it find a process that shows no environment while it replaces its program', async () => {
    const script = `echo ready; read go; exec env ${operationVariable}=${operationId} sleep 600`
    const child = spawn('sh', ['-c', script], { detached: true, env: {}, stdio: ['pipe', 'pipe', 'ignore'] })
    started.push(child)
    await firstLine(child)
    const records = new ProcessRecords(directory)
    records.open(operationId)
    const pid = child.pid ?? 0
    let looks = 0
    const clock: Clock = {
      ...systemClock,
      setTimeout: (callback, delayMs) => {
        looks += 1
        if (looks === 1) child.stdin.write('go\n')
        // Looks again once the program has been replaced.
        const isReplaced = (): boolean => hasVariable(pid, operationVariable, operationId)
        const look = (): void => void systemClock.setTimeout(isReplaced() || looks > 1 ? callback : look, delayMs)
        look()
        return 0
      },
    }
    expect(await records.reap(clock)).toEqual([{ operationId, killed: 1, leftPids: [] }])
    await expectGone(pid)
  })

  it('do not wait for long for a process that was started without an environment', async () => {
    const child = spawn('sleep', ['600'], { detached: true, env: {}, stdio: 'ignore' })
    started.push(child)
    await once(child, 'spawn')
    const records = new ProcessRecords(directory)
    records.open(operationId)
    expect(await records.reap(systemClock)).toEqual([{ operationId, killed: 0, leftPids: [] }])
    expect(isRunning(child.pid ?? 0)).toBe(true)
  })

  it('never make it kill a stranger who got the pid later, or runs for another operation', async () => {
    const { pid, child } = startLeader('echo ready; exec sleep 600', otherId)
    await firstLine(child)
    const [startTime, bootId] = [readProcessStatus(pid)?.startTime ?? '', readBootId() ?? '']
    expect([startTime, bootId]).toEqual([expect.stringMatching(/^\d+$/), expect.stringMatching(/^[0-9a-f-]{36}$/)])
    const earlier = String(Number(startTime) - 1)
    await writeFile(join(directory, operationId), JSON.stringify({ pid, identity: { startTime: earlier, bootId } }))
    const records = new ProcessRecords(directory)
    expect(await records.reap(systemClock)).toEqual([{ operationId, killed: 0, leftPids: [] }])
    const identity = { startTime, bootId: '00000000-0000-0000-0000-000000000000' }
    await writeFile(join(directory, operationId), JSON.stringify({ pid, identity }))
    expect(await records.reap(systemClock)).toEqual([{ operationId, killed: 0, leftPids: [] }])
    expect(isRunning(pid)).toBe(true)
  })

  it('report a process that cannot be identified and leave it alone, until it has gone', async () => {
    const { pid, child } = startLeader('echo ready; exec sleep 600')
    await firstLine(child)
    await writeFile(join(directory, operationId), JSON.stringify({ pid, identity: null }))
    const records = new ProcessRecords(directory)
    expect(await records.reap(systemClock)).toEqual([{ operationId, killed: 0, leftPids: [pid] }])
    expect(isRunning(pid)).toBe(true)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await records.reap(systemClock)).toEqual([{ operationId, killed: 0, leftPids: [] }])
    expect(await readdir(directory)).toEqual([])
  })

  it('refuse a damaged record, naming it', async () => {
    await writeFile(join(directory, operationId), '{"pid": 1}')
    const reaping = new ProcessRecords(directory).reap(systemClock)
    await expect(reaping).rejects.toMatchObject({ code: 'invalid_input', data: { field: 'pid' } })
  })
})
