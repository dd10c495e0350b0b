import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.js'
import {
  acquireDirectoryLock,
  type DirectoryLock,
  type DirectoryLockOptions,
} from '../../src/journal/directory-lock.js'
import { flock, type KernelLock } from '../../src/journal/kernel-lock.js'
import { nodeFileSystem } from '../../src/journal/node-file-system.js'
import { ownIdentity } from '../../src/journal/process-identity.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { compileChild, type CompiledChild } from './support/compiled-child.js'
import { temporaryDirectory } from './support/directory.js'
import { FaultyFileSystem } from './support/faulty-file-system.js'
import { timeout } from './support/long.js'
import { waitUntil } from './support/wait-until.js'

const flockMissing = spawnSync('flock', ['--version']).status !== 0
const cannotUnshare = spawnSync('unshare', ['-pf', '--mount-proc', 'true']).status !== 0

let directory: string
beforeEach(async () => {
  directory = await temporaryDirectory()
  await mkdir(directory)
})

/** A system without such a lock. */
const noKernelLock: KernelLock = () => Promise.resolve('unavailable')

function acquire(options: Partial<DirectoryLockOptions> = {}): Promise<DirectoryLock> {
  return acquireDirectoryLock({
    fileSystem: nodeFileSystem,
    directory,
    kernelLock: noKernelLock,
    clock: systemClock,
    waitMs: 0,
    ...options,
  })
}

async function contentOfLock(generation: number): Promise<object> {
  return JSON.parse(await readFile(join(directory, `lock.${generation}`), 'utf8')) as object
}

/** Writes the lock file of a process that does not exist here, unless the content says otherwise. */
async function leaveLock(generation: number, content: object): Promise<void> {
  const whole = { ...ownIdentity(), token: 'earlier', kernel: false, released: false, closedAt: 0, ...content }
  await writeFile(join(directory, `lock.${generation}`), JSON.stringify(whole))
}

describe('the directory lock', () => {
  it('is one file that says who holds it', async () => {
    const lock = await acquire()
    expect(await readdir(directory)).toEqual(['lock.1'])
    expect(await contentOfLock(1)).toMatchObject({ pid: process.pid, released: false })
    await lock.release()
  })

  it('[T-158] refuses a second owner, also of the same process, and names the first', async () => {
    const lock = await acquire()
    await expect(acquire()).rejects.toMatchObject({ code: 'journal_locked', data: { directory, pid: process.pid } })
    await lock.release()
  })

  it('counts on with every owner and never removes the highest file', async () => {
    await (await acquire()).release()
    expect(await contentOfLock(1)).toMatchObject({ released: true })
    await (await acquire()).release()
    expect(await readdir(directory)).toEqual(['lock.2'])
    expect(await contentOfLock(2)).toMatchObject({ released: true })
  })

  it('is taken over from a process that has ended', async () => {
    const child = spawn(process.execPath, ['-e', ''])
    await once(child, 'exit')
    await leaveLock(7, { pid: child.pid, startTime: undefined })
    const lock = await acquire()
    expect(await readdir(directory)).toEqual(['lock.8'])
    await lock.release()
  })

  it.runIf(process.platform === 'linux').each([
    ['started at another time: its number was given again', { startTime: '1' }],
    ['belongs to an earlier boot of this machine', { bootId: '00000000-0000-0000-0000-000000000000' }],
  ])('is taken over from a process that %s', async (_, content) => {
    await leaveLock(3, content)
    const lock = await acquire()
    expect(await contentOfLock(4)).toMatchObject({ released: false })
    await lock.release()
  })

  it('is not taken from a process that runs, whoever it belongs to', async () => {
    await leaveLock(3, { pid: 1, startTime: undefined })
    await expect(acquire()).rejects.toMatchObject({ code: 'journal_locked', data: { pid: 1 } })
  })

  it.runIf(process.platform === 'linux').each([
    ['in another pid namespace, where our numbers mean other processes', { pid: 1, pidNamespace: 'pid:[1]' }],
    ['of another machine', { bootId: '00000000-0000-0000-0000-000000000000', host: 'elsewhere' }],
    ['of a system that tells less', { bootId: undefined, pidNamespace: undefined }],
    ['whose namespace is not known', { pidNamespace: undefined }],
  ])('is not taken from an owner that cannot be judged: one %s', async (_, content) => {
    // Nobody has this number here.
    await leaveLock(3, { pid: 2 ** 22 + 1, startTime: undefined, ...content })
    const file = join(directory, 'lock.3')
    await expect(acquire()).rejects.toMatchObject({
      code: 'journal_locked',
      data: { owner: 'unknown', file },
      message: expect.stringContaining(`remove ${file} by hand`),
    })
    expect(await readdir(directory)).toEqual(['lock.3'])
    await unlink(file)
    await (await acquire()).release()
  })

  it.each([
    ['is empty', ''],
    ['holds zeros', '\0'.repeat(512)],
    ['holds other fields', '{"pid":1}'],
    ['is too long', JSON.stringify({ host: 'x'.repeat(600) })],
  ])('stays closed when its file %s, saying which file to remove', async (_, content) => {
    const file = join(directory, 'lock.2')
    await writeFile(file, content)
    await expect(acquire()).rejects.toMatchObject({
      code: 'journal_lock_damaged',
      data: { file },
      message: expect.stringContaining('then remove the file'),
    })
    await unlink(file)
    await (await acquire()).release()
  })

  it('is waited for as long as asked, and taken once it is free', async () => {
    const clock = new SimulatedClock()
    const owner = await acquire()
    const waiting = acquire({ clock, waitMs: 500 })
    await waitUntil(() => clock.pendingTimeouts === 1)
    clock.advance(200)
    await waitUntil(() => clock.pendingTimeouts === 1)
    await owner.release()
    clock.advance(200)
    const lock = await waiting
    expect(clock.pendingTimeouts).toBe(0)
    const late = acquire({ clock, waitMs: 500 })
    for (const step of [200, 200, 100]) {
      await waitUntil(() => clock.pendingTimeouts === 1)
      clock.advance(step)
    }
    await expect(late).rejects.toMatchObject({ code: 'journal_locked' })
    expect(clock.pendingTimeouts).toBe(0)
    await lock.release()
  })

  it('hands on where the log was closed, also past an owner that was killed', async () => {
    await (await acquire()).release(17)
    const killed = await acquire()
    expect(killed.closedAt).toBe(17)
    await killed.abandon()
    await leaveLock(3, { ...(await contentOfLock(2)), pid: 2 ** 22 + 1 })
    const next = await acquire()
    expect(next.closedAt).toBe(17)
    await next.accept(5)
    await next.release()
    expect(await contentOfLock(4)).toMatchObject({ closedAt: 5, released: true })
  })

  it('is lost by a contender that slept while its generation came and went', async () => {
    await leaveLock(5, { released: true })
    const slow = new SleepyFileSystem(async () => {
      // Others take generations 6 and 7 and tidy up before the contender makes its own file.
      await (await acquire()).release()
      const winner = await acquire()
      slow.winner = winner
      expect(await readdir(directory)).toContain('lock.7')
    })
    await expect(acquire({ fileSystem: slow })).rejects.toMatchObject({ code: 'journal_locked' })
    expect((await readdir(directory)).filter((name) => name.startsWith('lock.'))).toEqual(['lock.7'])
    await slow.winner?.release()
  })

  it('is given back by a contender that finds itself behind a higher generation', async () => {
    await leaveLock(5, { released: true })
    const slow = new SleepyFileSystem(async () => {
      await unlink(join(directory, 'lock.5'))
      await leaveLock(8, {})
    })
    await expect(acquire({ fileSystem: slow })).rejects.toMatchObject({ code: 'journal_locked' })
    expect(await readdir(directory)).toEqual(['lock.8'])
  })

  it('is free again when tidying up after a predecessor fails', async () => {
    await leaveLock(1, { released: true })
    const disk = new FaultyFileSystem()
    disk.fail({ operation: 'unlink', path: 'lock.1', errno: 'EACCES' })
    await expect(acquire({ fileSystem: disk })).rejects.toMatchObject({ code: 'file_system' })
    await (await acquire()).release()
  })

  it.each([
    ['gone', () => unlink(join(directory, 'lock.1'))],
    ['gone', () => rm(directory, { recursive: true })],
    ['superseded', () => leaveLock(2, {})],
    [
      'replaced',
      async () => {
        // The same text in another file: what the directory held was copied.
        const text = await readFile(join(directory, 'lock.1'))
        await unlink(join(directory, 'lock.1'))
        await writeFile(join(directory, 'lock.1'), text)
      },
    ],
  ] as const)('that is %s is noticed, and releasing it changes nothing', async (reason, lose) => {
    const lock = await acquire()
    await lock.check()
    await lose()
    const before = await filesOf(directory)
    const loss = { code: 'journal_lock_lost', data: { file: join(directory, 'lock.1'), reason } }
    await expect(lock.check()).rejects.toMatchObject(loss)
    await expect(lock.release()).rejects.toMatchObject(loss)
    expect(await filesOf(directory)).toEqual(before)
  })

  it('is taken from an owner whose kernel lock has gone, whatever is known of its process', async () => {
    await leaveLock(3, { kernel: true, pidNamespace: 'pid:[1]' })
    const lock = await acquire({ kernelLock: () => Promise.resolve('locked') })
    expect(await contentOfLock(4)).toMatchObject({ kernel: true, released: false })
    await lock.release()
  })

  it('is left to an owner that holds the kernel lock, although its process seems to have ended', async () => {
    await leaveLock(3, { kernel: true, startTime: '1' })
    const busy = acquire({ kernelLock: () => Promise.resolve('busy') })
    await expect(busy).rejects.toMatchObject({ code: 'journal_locked', data: { owner: 'running' } })
  })

  it('of an owner without a kernel lock is judged by its process, although the kernel would give it', async () => {
    await leaveLock(3, { kernel: false })
    const wrong = acquire({ kernelLock: () => Promise.resolve('locked') })
    await expect(wrong).rejects.toMatchObject({ code: 'journal_locked' })
  })
})

describe.skipIf(flockMissing)(`the kernel lock${flockMissing ? ' (skipped: no command flock here)' : ''}`, () => {
  it('belongs to the open file: it outlives the command and ends with the last descriptor', async () => {
    const path = join(directory, 'file')
    const first = await nodeFileSystem.open(path, 'create')
    expect(await flock(first.descriptor)).toBe('locked')
    const second = await nodeFileSystem.open(path, 'update')
    expect(await flock(second.descriptor)).toBe('busy')
    await first.close()
    expect(await flock(second.descriptor)).toBe('locked')
    await second.close()
  })

  it('keeps a second opener out although the lock file names a process that has ended', async () => {
    const lock = await acquire({ kernelLock: flock })
    const text = await readFile(join(directory, 'lock.1'), 'utf8')
    expect(JSON.parse(text)).toMatchObject({ kernel: true })
    // Written in place, so that it stays the same file.
    const changed = JSON.stringify({ ...(JSON.parse(text) as object), startTime: '1', bootId: 'another' })
    await writeFile(join(directory, 'lock.1'), changed.padEnd(512), { flag: 'r+' })
    await expect(acquire({ kernelLock: flock })).rejects.toMatchObject({
      code: 'journal_locked',
      data: { owner: 'running' },
    })
    await lock.release()
    await (await acquire({ kernelLock: flock })).release()
  })

  it('is free after kill -9, although a child of the owner goes on', async () => {
    const holder = await compileChild('holder')
    try {
      const owner = holder.start(directory)
      const said = owner.stdout === null ? [] : await once(owner.stdout, 'data')
      const orphan = Number(String(said[0]))
      try {
        await expect(acquire({ kernelLock: flock })).rejects.toMatchObject({ data: { pid: owner.pid } })
        const ended = once(owner, 'exit')
        owner.kill('SIGKILL')
        await ended
        await (await acquire({ kernelLock: flock })).release()
        expect(process.kill(orphan, 0)).toBe(true)
      } finally {
        process.kill(orphan, 'SIGKILL')
      }
    } finally {
      await holder.remove()
    }
  })

  it('is seen from another pid namespace', { skip: cannotUnshare }, async () => {
    const lock = await acquire({ kernelLock: flock })
    const path = join(directory, 'lock.1')
    const command = ['-pf', '--mount-proc', 'flock', '-n', path, 'true']
    const busy = await exitCodeOf('unshare', command)
    await lock.release()
    expect([busy, await exitCodeOf('unshare', command)]).toEqual([1, 0])
  })
})

it('the kernel lock is unavailable without the command', async () => {
  const file = await nodeFileSystem.open(join(directory, 'file'), 'create')
  const path = process.env['PATH']
  process.env['PATH'] = directory
  try {
    expect(await flock(file.descriptor)).toBe('unavailable')
  } finally {
    process.env['PATH'] = path
    await file.close()
  }
})

async function exitCodeOf(command: string, args: readonly string[]): Promise<unknown> {
  const [code] = await once(spawn(command, args, { stdio: 'ignore' }), 'exit')
  return code
}

/** Names and contents; nothing for a directory that is gone. */
async function filesOf(path: string): Promise<Record<string, string>> {
  const names = await readdir(path).catch(() => [])
  const contents = await Promise.all(names.map((name) => readFile(join(path, name), 'utf8')))
  return Object.fromEntries(names.map((name, index) => [name, contents[index] ?? '']))
}

/** Sleeps once before making a lock file, while `meanwhile` happens. */
class SleepyFileSystem extends FaultyFileSystem {
  winner: Awaited<ReturnType<typeof acquireDirectoryLock>> | undefined
  #meanwhile: (() => Promise<void>) | undefined

  constructor(meanwhile: () => Promise<void>) {
    super()
    this.#meanwhile = meanwhile
  }

  override async link(existing: string, path: string): Promise<void> {
    const meanwhile = this.#meanwhile
    this.#meanwhile = undefined
    await meanwhile?.()
    return super.link(existing, path)
  }
}

describe('the lock among real processes', () => {
  let contender: CompiledChild
  beforeAll(async () => {
    contender = await compileChild('contender')
  })
  afterAll(() => contender.remove())

  it.each([
    ['', 'none'],
    [', by the kernel lock', 'kernel'],
    [', although some of them have no kernel lock', 'some'],
  ])('has one owner at a time, although owners are killed while they hold it%s', { timeout }, async (_, kernel) => {
    const outputs = Array.from({ length: 8 }, async (_unused, index) => {
      const lock = kernel === 'some' && index % 3 === 0 ? 'kernel' : kernel
      const child = contender.start(directory, index % 2 === 0 ? 'dies' : 'lives', lock)
      return child.stdout === null ? '' : text(child.stdout)
    })
    const lines = (await Promise.all(outputs)).flatMap((output) => output.trim().split('\n'))
    expect(lines).toEqual(Array.from({ length: 8 * 5 }, () => 'held'))
  })
})
