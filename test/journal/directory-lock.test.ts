import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { acquireDirectoryLock } from '../../src/journal/directory-lock.js'
import { nodeFileSystem } from '../../src/journal/node-file-system.js'
import { ownIdentity } from '../../src/journal/process-identity.js'
import { compileChild, type CompiledChild } from './support/compiled-child.js'
import { temporaryDirectory } from './support/directory.js'
import { FaultyFileSystem } from './support/faulty-file-system.js'
import { timeout } from './support/long.js'

let directory: string
beforeEach(async () => {
  directory = await temporaryDirectory()
  await mkdir(directory)
})

const acquire = (): ReturnType<typeof acquireDirectoryLock> => acquireDirectoryLock(nodeFileSystem, directory)

async function contentOfLock(generation: number): Promise<object> {
  return JSON.parse(await readFile(join(directory, `lock.${generation}`), 'utf8')) as object
}

/** Writes the lock file of a process that does not exist here, unless the content says otherwise. */
async function leaveLock(generation: number, content: object): Promise<void> {
  const whole = { ...ownIdentity(), token: 'earlier', released: false, ...content }
  await writeFile(join(directory, `lock.${generation}`), JSON.stringify(whole))
}

describe('the directory lock', () => {
  it('is one file that says who holds it', async () => {
    const lock = await acquire()
    expect(await readdir(directory)).toEqual(['lock.1'])
    expect(await contentOfLock(1)).toMatchObject({ pid: process.pid, released: false })
    await lock.release()
  })

  it('refuses a second owner, also of the same process, and names the first', async () => {
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
    ['belongs to an earlier boot', { bootId: '00000000-0000-0000-0000-000000000000' }],
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

  it('stays closed when its file cannot be understood, and the file is named', async () => {
    await writeFile(join(directory, 'lock.2'), '{"pid":0}')
    await expect(acquire()).rejects.toMatchObject({
      code: 'invalid_input',
      data: { subject: `lock file ${join(directory, 'lock.2')}`, field: 'pid' },
    })
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
    await expect(acquireDirectoryLock(slow, directory)).rejects.toMatchObject({ code: 'journal_locked' })
    expect((await readdir(directory)).filter((name) => name.startsWith('lock.'))).toEqual(['lock.7'])
    await slow.winner?.release()
  })

  it('is given back by a contender that finds itself behind a higher generation', async () => {
    await leaveLock(5, { released: true })
    const slow = new SleepyFileSystem(async () => {
      await unlink(join(directory, 'lock.5'))
      await leaveLock(8, {})
    })
    await expect(acquireDirectoryLock(slow, directory)).rejects.toMatchObject({ code: 'journal_locked' })
    expect(await readdir(directory)).toEqual(['lock.8'])
  })

  it('is free again when tidying up after a predecessor fails', async () => {
    await leaveLock(1, { released: true })
    const disk = new FaultyFileSystem()
    disk.fail({ operation: 'unlink', path: 'lock.1', errno: 'EACCES' })
    await expect(acquireDirectoryLock(disk, directory)).rejects.toMatchObject({ code: 'file_system' })
    await (await acquire()).release()
  })

  it('that was stolen is noticed when it is released', async () => {
    const lock = await acquire()
    await unlink(join(directory, 'lock.1'))
    await expect(lock.release()).rejects.toMatchObject({ data: { operation: 'open', errno: 'ENOENT' } })
  })
})

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

  it('has one owner at a time, although owners are killed while they hold it', { timeout }, async () => {
    const outputs = Array.from({ length: 8 }, async (_, index) => {
      const child = contender.start(directory, index % 2 === 0 ? 'dies' : 'lives')
      return child.stdout === null ? '' : text(child.stdout)
    })
    const lines = (await Promise.all(outputs)).flatMap((output) => output.trim().split('\n'))
    expect(lines).toEqual(Array.from({ length: 8 * 5 }, () => 'held'))
  })
})
