import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readProcessStatus } from '../../../src/base/process-status.js'
import { createMemoryJournal } from '../../../src/journal/memory-journal.js'
import type { JournalStore } from '../../../src/journal/journal.js'
import {
  cancelRequestKey,
  noProjector,
  openProcessStore,
  type OpenedProcessStore,
  type ProcessStore,
} from '../../../src/processes/index.js'
import type { LeaseOwner } from '../../../src/processes/lease.js'
import { thisHost } from '../../../src/processes/system/host.js'
import { readChildRecord } from '../../../src/work/children/child-record.js'
import { readExitReport } from '../../../src/work/children/exit-report.js'
import { SupervisedChild } from '../../../src/work/children/supervised-child.js'
import { spawned, spawning, systemProcess, type SystemCommand } from '../../../src/processes/system/system-process.js'
import { buildLibrary } from '../../support/build.js'
import { expectGone, isRunning } from '../../support/processes.js'
import { systemWorker } from '../support/system-worker.js'

let supervisor: string
let directory: string
let journal: JournalStore
let closing: (() => Promise<void>)[]
let strangers: ChildProcess[]

beforeAll(async () => {
  supervisor = join(await buildLibrary(), 'src/work/children/supervisor.js')
}, 120_000)
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stateward-system-'))
  journal = createMemoryJournal()
  closing = []
  strangers = []
})
afterEach(async () => {
  for (const close of closing.toReversed()) await close()
  for (const stranger of strangers) stranger.kill('SIGKILL')
  await rm(directory, { recursive: true })
})

type Host = ReturnType<typeof systemWorker> & { readonly open: OpenedProcessStore }

/** A store opened on what the one before has left, and a worker on it. */
async function host(): Promise<Host> {
  const open = await openProcessStore({ journal })
  const parts = systemWorker({ store: open, directory, supervisor })
  let isClosed = false
  const close = async (): Promise<void> => {
    if (isClosed) return
    isClosed = true
    await parts.close()
    await open.close()
  }
  closing.push(close)
  return { ...parts, open, close }
}

function shell(script: string, more: Partial<SystemCommand> & { readonly id?: string } = {}) {
  const { recover = 'adopt', ...rest } = more
  return systemProcess({ id: 'p', command: 'sh', args: ['-c', script], cwd: directory, recover, ...rest })
}

async function run(registration: ReturnType<typeof systemProcess>, on?: Host) {
  const here = on ?? (await host())
  await here.open.registerProcess(registration)
  await here.worker.claimAndRunPending()
  return here
}

/** Waits until a question has this answer. */
async function eventually(ask: () => unknown, answer: unknown): Promise<void> {
  await expect.poll(ask, { interval: 5, timeout: 10_000 }).toEqual(answer)
}

/** Everything that is kept from the cursor on. */
async function readAll({ output }: Host, stream: 'stdout' | 'stderr') {
  const parts = [await output.read('p', stream)]
  for (let part = parts[0]; part !== undefined && part.bytes.length > 0; ) {
    part = await output.read('p', stream, { after: part.cursor })
    parts.push(part)
  }
  const text = Buffer.concat(parts.map(({ bytes }) => bytes))
  return { from: parts[0]?.from ?? 0, cursor: parts.at(-1)?.cursor ?? 0, bytes: text }
}

async function outcomeOf(store: ProcessStore, id = 'p') {
  return (await store.getProcess(id))?.outcome
}

/** The text of a file of the test, once it is there. */
async function written(name: string): Promise<string> {
  let text = ''
  await eventually(async () => {
    text = await readFile(join(directory, name), 'utf8').catch(() => '')
    return text.endsWith('\n')
  }, true)
  return text.trim()
}

const cancel = { eventType: 'process.cancel_requested', payload: null, replay: { key: cancelRequestKey('p', null) } }

describe('a process of the operating system [P-220]', () => {
  it('is on record before it runs, and ends with its exit code and output', async () => {
    const { open, worker } = await run(shell('echo out; echo err >&2; exit 0'))
    await worker.idle()
    expect(await outcomeOf(open)).toMatchObject({
      type: 'success',
      value: { exitCode: 0, signal: null, stdoutBytes: 4, stderrBytes: 4 },
    })
    const events = await open.eventsAfter('p', 0)
    expect(events.map(({ eventType }) => eventType)).toEqual([
      'process.first_started',
      'system.spawning',
      'system.spawned',
      'process.completed',
    ])
    expect(spawning.read(events[1]?.payload ?? null)).toEqual({ mark: expect.any(String), ...thisHost() })
    expect(spawned.read(events[2]?.payload ?? null)).toEqual({
      pid: expect.any(Number),
      startTime: expect.stringMatching(/^\d+$/),
      bootId: thisHost().bootId,
    })
  })

  it.each([
    ['exit 7', { class: 'execution', code: 'exit_code', raw: { exitCode: 7, signal: null } }],
    ['kill -USR1 $$', { class: 'execution', code: 'exit_signal', raw: { exitCode: null, signal: 'SIGUSR1' } }],
  ])('fails with how it ended: %s [P-224]', async (script, failure) => {
    const { open, worker } = await run(shell(script))
    await worker.idle()
    expect(await outcomeOf(open)).toMatchObject({ type: 'failure', ...failure })
  })

  it('fails when its program is not there, and when its time is over [P-224]', async () => {
    const here = await run(systemProcess({ id: 'p', command: 'no-such-program', recover: 'adopt' }))
    await run(shell('exec sleep 600', { id: 'q', timeoutMs: 50 }), here)
    await here.worker.idle()
    expect(await outcomeOf(here.open)).toMatchObject({
      type: 'failure',
      code: 'child_not_started',
      raw: { systemCode: 'ENOENT' },
    })
    expect(await outcomeOf(here.open, 'q')).toMatchObject({ type: 'failure', class: 'timeout', code: 'timed_out' })
  })

  it('is never begun when its pid cannot be put on record', async () => {
    const here = await host()
    const refusing = new Proxy(here.open, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        if (name !== 'appendEvent') return value.bind(target)
        return (id: string, request: { eventType: string }, options: unknown) =>
          request.eventType === spawned.eventType
            ? Promise.reject(new Error('disk full'))
            : value.call(target, id, request, options)
      },
    })
    await here.open.registerProcess(shell('echo begun >begun'))
    const parts = systemWorker({ store: refusing, directory, supervisor })
    await parts.worker.claimAndRunPending()
    await eventually(() => parts.faults.length > 0, true)
    await parts.worker.idle()
    await parts.close()
    const [mark = ''] = (await readdir(directory)).filter((name) => name.includes('-'))
    await eventually(() => readFile(join(directory, mark, 'exit.json'), 'utf8').catch(() => ''), '{"type":"unasked"}')
    expect(await readdir(directory)).not.toContain('begun')
    expect(parts.faults[0]).toMatchObject({ type: 'row_run_failed', message: 'disk full' })
  })

  it('is told to end when that is asked for, gently first [P-225]', async () => {
    const { open, worker } = await run(
      shell(`trap 'echo bye >bye; exit 3' TERM; echo >up; while :; do sleep 0.01; done`),
    )
    await written('up')
    await open.appendEvent('p', cancel)
    await worker.idle()
    expect(await outcomeOf(open)).toMatchObject({ type: 'cancelled', raw: { exitCode: 3 } })
    expect(await written('bye')).toBe('bye')
  })

  it('is killed with everything that it has started, in whatever session, when it does not end [P-226]', async () => {
    const script = `trap '' TERM; setsid sh -c 'trap "" TERM; echo $$ >daemon; sleep 600' & sleep 600 & echo $! >child; wait; sleep 600`
    const { open, worker } = await run(shell(script, { graceMs: 50 }))
    const [daemon, child] = [Number(await written('daemon')), Number(await written('child'))]
    expect([isRunning(daemon), isRunning(child)]).toEqual([true, true])
    await open.appendEvent('p', cancel)
    await worker.idle()
    await expectGone(daemon)
    await expectGone(child)
    expect(await outcomeOf(open)).toMatchObject({ type: 'cancelled', raw: { signal: 'SIGKILL' } })
  })

  it('takes with it what it leaves running in a session of its own when it ends by itself [P-226]', async () => {
    const { open, worker } = await run(
      shell(`setsid sh -c 'echo $$ >daemon; exec sleep 600' & while [ ! -s daemon ]; do :; done`),
    )
    await worker.idle()
    expect(await outcomeOf(open)).toMatchObject({ type: 'success' })
    await expectGone(Number(await written('daemon')))
  })

  it('ends as unknown when its supervisor is killed, and nothing of it stays [P-224]', async () => {
    const { open, worker } = await run(shell('echo $$ >up; exec sleep 600'))
    const child = Number(await written('up'))
    const event = await open.firstEventAfter('p', spawned.eventType, 0)
    process.kill(spawned.read(event?.payload ?? null).pid, 'SIGKILL')
    await worker.idle()
    expect(await outcomeOf(open)).toMatchObject({ type: 'failure', code: 'exit_unknown' })
    await expectGone(child)
  })
})

describe('a child that throws its environment away [P-226]', () => {
  it('is found by what its supervisor has left of it', async () => {
    const { open, worker } = await run(shell('exec env -i sh -c "echo \\$\\$ >up; exec sleep 600"'))
    const child = Number(await written('up'))
    const event = await open.firstEventAfter('p', spawned.eventType, 0)
    const { pid } = spawned.read(event?.payload ?? null)
    const [mark = ''] = (await readdir(directory)).filter((name) => name.includes('-'))
    // It leaves that once it has heard that the child is there, which may have got on meanwhile.
    await eventually(async () => readChildRecord(join(directory, mark))?.pid, child)
    process.kill(pid, 'SIGKILL')
    await worker.idle()
    await expectGone(child)
  })

  it('is found by its input where its supervisor was killed before it could leave anything', async () => {
    const first = await run(shell('exec env -i sh -c "echo \\$\\$ >up; exec sleep 600"'))
    const child = Number(await written('up'))
    const event = await first.open.firstEventAfter('p', spawned.eventType, 0)
    await first.close()
    const [mark = ''] = (await readdir(directory)).filter((name) => name.includes('-'))
    await eventually(async () => readChildRecord(join(directory, mark))?.pid, child)
    const { pid } = spawned.read(event?.payload ?? null)
    process.kill(pid, 'SIGKILL')
    await expectGone(pid)
    // As if the kill had come in the moment in which the child was there and not yet noted.
    await rm(join(directory, mark, 'child.json'))
    expect(isRunning(child)).toBe(true)
    const second = await host()
    await second.worker.claimAndRunPending()
    await second.worker.idle()
    await expectGone(child)
  })
})

describe('a program whose owner may be frozen [P-232]', () => {
  const order = (script: string, ownerSilenceMs: number) => ({
    command: 'sh',
    args: ['-c', script],
    cwd: directory,
    env: { PATH: process.env['PATH'] },
    mark: { name: 'STATEWARD_PROCESS_silence', value: '1' },
    graceMs: 1000,
    outputLimitBytes: 1000,
    endsWithOwner: true,
    ownerSilenceMs,
  })

  it('ends when its owner is silent, and not as long as it speaks', async () => {
    const { mark } = order('', 1)
    const child = await SupervisedChild.start(supervisor, directory, mark)
    child.begin(order(`trap 'exit 7' TERM; while :; do echo x >>steps; sleep 0.01; done`, 1500))
    const steps = async (): Promise<number> => (await written('steps')).length
    const startedAt = performance.now()
    // For longer than it would be left alone.
    while (performance.now() - startedAt < 2000) {
      const before = await steps()
      child.speak()
      await eventually(async () => (await steps()) > before, true)
    }
    expect(readExitReport(directory)).toBeUndefined()
    await child.ended(new AbortController().signal)
    expect(readExitReport(directory)).toMatchObject({ type: 'ended', interruptedBy: 'owner_lost', exitCode: 7 })
  })

  it('is told so by its worker, as long as that is not frozen', async () => {
    const { open, worker } = await run(
      shell('while [ ! -e go ]; do echo x >>steps; sleep 0.01; done; exit 4', { recover: 'reap', ownerSilenceMs: 400 }),
    )
    const startedAt = performance.now()
    await eventually(async () => performance.now() - startedAt > 1000 && (await written('steps')) !== '', true)
    await writeFile(join(directory, 'go'), '')
    await worker.idle()
    expect(await outcomeOf(open)).toMatchObject({ code: 'exit_code', raw: { exitCode: 4 } })
  })
})

describe('when its owner is gone [P-221]', () => {
  it('goes on and is adopted by the next one, on a higher fence, with its exit code', async () => {
    const first = await run(shell('echo $$ >up; while [ ! -e go ]; do sleep 0.01; done; exit 5'))
    const pid = Number(await written('up'))
    await first.close()
    expect(isRunning(pid)).toBe(true)
    const second = await host()
    await second.worker.claimAndRunPending()
    await eventually(async () => (await second.open.getProcess('p'))?.lastSequence, 4)
    const [adopted] = await second.open.recentEvents('p', 1)
    const event = await second.open.firstEventAfter('p', spawned.eventType, 0)
    expect(adopted).toMatchObject({
      eventType: 'process.adopted',
      payload: { fence: 2, pid: spawned.read(event?.payload ?? null).pid },
    })
    await writeFile(join(directory, 'go'), '')
    await second.worker.idle()
    expect(await outcomeOf(second.open)).toMatchObject({ code: 'exit_code', raw: { exitCode: 5 } })
  })

  it('an adopted one is told to end like any other', async () => {
    const first = await run(shell(`trap 'exit 3' TERM; echo $$ >up; while :; do sleep 0.01; done`))
    await written('up')
    await first.close()
    const second = await host()
    await second.worker.claimAndRunPending()
    await second.open.appendEvent('p', cancel)
    await second.worker.idle()
    expect(await outcomeOf(second.open)).toMatchObject({ type: 'cancelled', raw: { exitCode: 3 } })
  })

  it('what it came to while nobody watched is not lost', async () => {
    const first = await run(shell('echo >up; while [ ! -e go ]; do sleep 0.01; done; exit 6'))
    await written('up')
    const event = await first.open.firstEventAfter('p', spawned.eventType, 0)
    await first.close()
    await writeFile(join(directory, 'go'), '')
    await expectGone(spawned.read(event?.payload ?? null).pid)
    const second = await host()
    await second.worker.claimAndRunPending()
    await second.worker.idle()
    expect(await outcomeOf(second.open)).toMatchObject({ code: 'exit_code', raw: { exitCode: 6 } })
  })

  it('one that is to be reaped ends with its owner, and is given up', async () => {
    const first = await run(shell('echo $$ >up; exec sleep 600', { recover: 'reap' }))
    const pid = Number(await written('up'))
    await first.close()
    await expectGone(pid)
    const second = await host()
    expect(await outcomeOf(second.open)).toMatchObject({
      type: 'abandoned',
      evidence: { writer: 'owner_drain', owner: { ownerId: 'w' } },
    })
  })

  it('draining ends what goes on, and gives it up', async () => {
    const first = await run(shell('echo $$ >up; exec sleep 600'))
    const pid = Number(await written('up'))
    await first.close()
    const second = await host()
    expect(await second.worker.drainOwnerBoundWork()).toEqual({ abandoned: ['p'], deferred: [] })
    await expectGone(pid)
    expect(await outcomeOf(second.open)).toMatchObject({ type: 'abandoned', evidence: { writer: 'owner_drain' } })
  })

  it('one that was asked to be abandoned is ended before it is given up', async () => {
    const first = await run(shell('echo $$ >up; exec sleep 600'))
    const pid = Number(await written('up'))
    await first.close()
    const second = await host()
    await second.open.requestAbandon('p', { requestedBy: 'somebody', requestedAtMs: 1 })
    await second.worker.claimAndRunPending()
    await second.worker.idle()
    await expectGone(pid)
    expect(await outcomeOf(second.open)).toMatchObject({
      type: 'abandoned',
      evidence: { writer: 'reconciled_request' },
    })
  })
})

describe('a worker that loses its lease [P-227]', () => {
  it('leaves the process running, and whoever claims it next on this host looks after it', async () => {
    const open = await openProcessStore({ journal, isHolderDead: ({ owner }) => owner.ownerId.startsWith('first') })
    closing.push(() => open.close())
    const first = systemWorker({
      store: open,
      directory,
      supervisor,
      owner: { ownerId: 'first', incarnationId: 'one' },
      timings: { ttlMs: 300, renewIntervalMs: 20 },
    })
    await open.registerProcess(shell('echo $$ >up; while [ ! -e go ]; do sleep 0.01; done; exit 5'))
    await first.worker.claimAndRunPending()
    const pid = Number(await written('up'))
    const held = await open.getLease('p')
    if (held === undefined) throw new Error('no lease')
    const taken = await open.reclaimLease('p', { ownerId: 'thief', incarnationId: 'one' }, held, 60_000)
    if (taken.outcome !== 'acquired') throw new Error('busy')
    await eventually(() => first.worker.size, 0)
    await first.close()
    expect(isRunning(pid)).toBe(true)
    // Gives it back: nobody is known to be dead now.
    await open.completeLease(taken.lease)
    const second = systemWorker({ store: open, directory, supervisor })
    closing.push(second.close)
    await second.worker.claimAndRunPending()
    await writeFile(join(directory, 'go'), '')
    await second.worker.idle()
    expect(await outcomeOf(open)).toMatchObject({ code: 'exit_code', raw: { exitCode: 5 } })
    const types = (await open.eventsAfter('p', 0)).map(({ eventType }) => eventType)
    expect(types.slice(3)).toEqual(['process.adopted', 'process.failed'])
  })
})

/** A process that its owner has put on record as this, and an owner that is gone. */
async function recorded(
  facts: {
    readonly mark?: string
    readonly hostId?: string
    readonly bootId?: string
    readonly pid?: number
    readonly startTime?: string
  },
  owner: LeaseOwner = { ownerId: 'w', incarnationId: 'gone' },
) {
  const open = await openProcessStore({ journal })
  await open.registerProcess(shell('exit 0'))
  const claimed = await open.claimLease('p', owner, 60_000)
  if (claimed.outcome !== 'acquired') throw new Error('busy')
  const { lease } = claimed
  await open.recordFirstStarted('p', { owner, startedAtMs: 1 }, { lease })
  const { mark = '019a0000-0000-7000-8000-000000000001', pid, startTime, ...where } = facts
  await open.appendEvent('p', spawning.request({ mark, ...thisHost(), ...where }), { lease })
  const { bootId } = { ...thisHost(), ...where }
  if (pid !== undefined) {
    await open.appendEvent('p', spawned.request({ pid, bootId, ...(startTime !== undefined && { startTime }) }), {
      lease,
    })
  }
  await open.close()
}

/** Something that runs and is none of ours, with the environment that a test gives it. */
async function stranger(env: Record<string, string> = {}) {
  const child = spawn('sh', ['-c', 'echo up; exec sleep 600'], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  strangers.push(child)
  await once(child.stdout, 'data')
  const pid = child.pid ?? 0
  return { pid, startTime: readProcessStatus(pid)?.startTime ?? '' }
}

describe('adoption [P-222]', () => {
  const mark = '019a0000-0000-7000-8000-000000000002'
  const variable = { [`STATEWARD_PROCESS_${mark.replaceAll('-', '_')}`]: '1' }

  it('is of the very process that is on record: everything agrees', async () => {
    const { pid, startTime } = await stranger(variable)
    await recorded({ mark, pid, startTime })
    const here = await host()
    await here.worker.claimAndRunPending()
    await eventually(async () => (await here.open.recentEvents('p', 1))[0]?.eventType, 'process.adopted')
    process.kill(pid, 'SIGKILL')
    await here.worker.idle()
    expect(await outcomeOf(here.open)).toMatchObject({ type: 'failure', code: 'exit_unknown' })
  })

  it.each(['start time', 'mark'])('never touches a process that got the pid: another %s', async (difference) => {
    const { pid, startTime } = await stranger()
    await recorded({ mark, pid, startTime: difference === 'start time' ? '1' : startTime })
    const here = await host()
    await here.worker.claimAndRunPending()
    await here.worker.idle()
    expect(await outcomeOf(here.open)).toMatchObject({
      type: 'abandoned',
      evidence: { writer: 'sweep', owner: { ownerId: 'w' } },
    })
    expect(isRunning(pid)).toBe(true)
  })

  it('kills what bears the mark when it is not the one on record', async () => {
    const { pid } = await stranger(variable)
    await recorded({ mark, pid, startTime: '1' })
    const here = await host()
    await here.worker.claimAndRunPending()
    await here.worker.idle()
    expect(await outcomeOf(here.open)).toMatchObject({ type: 'abandoned', evidence: { writer: 'sweep' } })
    await expectGone(pid)
  })

  it('is none after the system was started anew: the process is given up', async () => {
    const { pid, startTime } = await stranger()
    await recorded({ bootId: 'another-boot', pid, startTime })
    const here = await host()
    await here.worker.claimAndRunPending()
    await here.worker.idle()
    expect(await outcomeOf(here.open)).toMatchObject({ type: 'abandoned', evidence: { writer: 'sweep' } })
    expect(isRunning(pid)).toBe(true)
  })

  it('is none of what another host has started: it is left alone', async () => {
    const liveness = { type: 'local_process', hostId: 'another/host', bootId: 'b', pid: 2, processStart: '1' } as const
    await recorded({ hostId: 'another/host' }, { ownerId: 'w', incarnationId: 'gone', liveness })
    const here = await host()
    const { deferred } = await here.worker.claimAndRunPending()
    expect(deferred).toEqual([{ processId: 'p', disposition: { type: 'kind_unknown' } }])
    expect((await here.open.getProcess('p'))?.status).toBe('running')
  })
})

describe('output [P-230]', () => {
  it('is bounded, and read from a cursor; what was dropped is told', async () => {
    const here = await run(
      shell('i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done', { outputLimitBytes: 4096 }),
    )
    await here.worker.idle()
    const { value } = (await outcomeOf(here.open)) as unknown as { value: { stdoutBytes: number } }
    const part = await readAll(here, 'stdout')
    expect(part.from).toBeGreaterThan(value.stdoutBytes - 4097)
    expect(part.cursor).toBe(value.stdoutBytes)
    expect(part.bytes.toString().endsWith('line 19998\nline 19999\n')).toBe(true)
    expect(await here.output.read('p', 'stdout', { after: part.cursor })).toMatchObject({
      cursor: part.cursor,
      from: part.cursor,
    })
    const [mark = ''] = (await readdir(directory)).filter((name) => name.includes('-'))
    const files = (await readdir(join(directory, mark))).filter((name) => name.startsWith('stdout'))
    const sizes = await Promise.all(files.map(async (name) => (await stat(join(directory, mark, name))).size))
    expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(4096)
  })

  it('goes on where it was across an adoption', async () => {
    const first = await run(shell('echo one; echo >up; while [ ! -e go ]; do sleep 0.01; done; echo two'))
    await written('up')
    const before = { cursor: 0, text: '' }
    await eventually(async () => {
      const part = await first.output.read('p', 'stdout')
      Object.assign(before, { cursor: part.cursor, text: part.bytes.toString() })
      return part.cursor
    }, 4)
    await first.close()
    const second = await host()
    await second.worker.claimAndRunPending()
    const text: string[] = []
    const following = (async () => {
      for await (const { bytes } of second.output.follow('p', 'stdout', { after: before.cursor }))
        text.push(bytes.toString())
    })()
    await writeFile(join(directory, 'go'), '')
    await following
    await second.worker.idle()
    expect([before.text, text.join('')]).toEqual(['one\n', 'two\n'])
  })

  it('may be anything: bytes that are no text, no line end, more than anybody reads', async () => {
    const here = await run(
      shell(`head -c 30000000 /dev/urandom; printf '\\000\\377\\033[2J' >&2`, { outputLimitBytes: 65_536 }),
    )
    await here.worker.idle()
    expect(await outcomeOf(here.open)).toMatchObject({
      type: 'success',
      value: { stdoutBytes: 30_000_000, stderrBytes: 6 },
    })
    const { bytes } = await here.output.read('p', 'stderr')
    expect([...bytes]).toEqual([0, 255, 27, 91, 50, 74])
    expect((await readAll(here, 'stdout')).cursor).toBe(30_000_000)
  })

  it('ends with the signal of who follows it, and goes with its process', async () => {
    const here = await run(shell('echo one; echo >up; exec sleep 600'))
    await written('up')
    const enough = new AbortController()
    const following = (async () => {
      for await (const _ of here.output.follow('p', 'stdout', { signal: enough.signal }))
        enough.abort(new Error('enough'))
    })()
    await expect(following).rejects.toThrow('enough')
    expect(await here.output.removePruned()).toBe(0)
    await here.open.appendEvent('p', cancel)
    await here.worker.idle()
    await here.open.pruneTerminal(Number.POSITIVE_INFINITY, { watermark: noProjector })
    expect(await here.output.removePruned()).toBe(1)
    await expect(here.output.read('p', 'stdout')).rejects.toMatchObject({ code: 'process.unknown' })
  })
})
