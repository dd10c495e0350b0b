import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { readWhole, writeFileDurably, writeWhole } from '../../src/journal/file-system.js'
import { nodeFileSystem } from '../../src/journal/node-file-system.js'
import { temporaryDirectory } from './support/directory.js'

let directory: string
let path: string
beforeEach(async () => {
  directory = await temporaryDirectory()
  path = join(directory, 'file')
  await mkdir(directory)
})

const failure = (operation: string, errno: string, file = path): object => ({
  code: 'file_system',
  data: { operation, errno, path: file },
})

describe('the file system of Node', () => {
  it('creates only files that are not there', async () => {
    await (await nodeFileSystem.open(path, 'create')).close()
    await expect(nodeFileSystem.open(path, 'create')).rejects.toMatchObject(failure('open', 'EEXIST'))
  })

  it.each(['read', 'update', 'durable'] as const)('opens only files that are there: %s', async (mode) => {
    await expect(nodeFileSystem.open(path, mode)).rejects.toMatchObject(failure('open', 'ENOENT'))
  })

  it('writes and reads at positions, and says how much there was', async () => {
    const file = await nodeFileSystem.open(path, 'create')
    expect(await file.write(Buffer.from('world'), 6)).toBe(5)
    expect(await file.write(Buffer.from('hello,'), 0)).toBe(6)
    await file.sync()
    const into = Buffer.alloc(20)
    expect(await file.read(into, 3)).toBe(8)
    expect(into.toString('utf8', 0, 8)).toBe('lo,world')
    expect(await file.size()).toBe(11)
    await file.truncate(5)
    expect(await file.size()).toBe(5)
    await file.close()
    expect((await readWhole(nodeFileSystem, path)).toString()).toBe('hello')
    expect(nodeFileSystem.readSync(path, 1, 3).toString()).toBe('ell')
    expect(nodeFileSystem.readSync(path, 3, 100).toString()).toBe('lo')
  })

  it.runIf(existsSync('/proc/self/fdinfo'))('asks the system to sync every write of a durable file', async () => {
    await writeFile(path, '')
    const file = await nodeFileSystem.open(path, 'durable')
    const flags: number[] = []
    for (const descriptor of await readdir('/proc/self/fd')) {
      const target = await readlink(join('/proc/self/fd', descriptor)).catch(() => '')
      if (target !== path) continue
      const info = await readFile(join('/proc/self/fdinfo', descriptor), 'utf8')
      flags.push(Number.parseInt(/flags:\s+(\d+)/.exec(info)?.[1] ?? '0', 8))
    }
    await file.close()
    expect(flags.map((flag) => flag & 0o10000)).toEqual([0o10000])
  })

  it.runIf(existsSync('/dev/full'))('tells a refused write from anything else', async () => {
    const file = await nodeFileSystem.open('/dev/full', 'durable')
    await expect(writeWhole(file, Buffer.from('x'), 0)).rejects.toMatchObject(failure('write', 'ENOSPC', '/dev/full'))
    await file.close()
  })

  it('says whether it made a directory', async () => {
    const made = join(directory, 'made')
    expect(await nodeFileSystem.makeDirectory(made)).toBe(true)
    expect(await nodeFileSystem.makeDirectory(made)).toBe(false)
    const deep = join(directory, 'no', 'such')
    await expect(nodeFileSystem.makeDirectory(deep)).rejects.toMatchObject(failure('make_directory', 'ENOENT', deep))
  })

  it('links a file only to a free name', async () => {
    await writeFile(path, 'x')
    const second = join(directory, 'second')
    await nodeFileSystem.link(path, second)
    await expect(nodeFileSystem.link(path, second)).rejects.toMatchObject(failure('link', 'EEXIST', second))
    expect((await nodeFileSystem.list(directory)).sort()).toEqual(['file', 'second'])
  })

  it('names the operation of every other failure', async () => {
    const missing = join(directory, 'missing')
    await expect(nodeFileSystem.unlink(missing)).rejects.toMatchObject(failure('unlink', 'ENOENT', missing))
    await expect(nodeFileSystem.rename(missing, path)).rejects.toMatchObject(failure('rename', 'ENOENT'))
    await expect(nodeFileSystem.list(missing)).rejects.toMatchObject(failure('list', 'ENOENT', missing))
    await expect(nodeFileSystem.syncDirectory(missing)).rejects.toMatchObject(
      failure('sync_directory', 'ENOENT', missing),
    )
    expect(() => nodeFileSystem.readSync(missing, 0, 1)).toThrow(
      expect.objectContaining(failure('read', 'ENOENT', missing)),
    )
  })

  it('replaces a file by a whole one', async () => {
    await writeFile(path, 'old')
    const temporary = `${path}.tmp`
    await writeFileDurably(nodeFileSystem, { directory, path, temporary, bytes: Buffer.from('new') })
    expect(await readFile(path, 'utf8')).toBe('new')
    expect(await nodeFileSystem.list(directory)).toEqual(['file'])
  })
})
