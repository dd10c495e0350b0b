import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeDirectory, makeDirectorySync } from '../../src/base/make-directory.js'

describe.each([
  ['makeDirectory', makeDirectory],
  ['makeDirectorySync', async (...call: Parameters<typeof makeDirectorySync>) => makeDirectorySync(...call)],
] as const)('%s', (_, make) => {
  it('makes what is missing, leaves what is there, and refuses where something else stands', async () => {
    const home = await mkdtemp(join(tmpdir(), 'stateward-make-'))
    try {
      await make(join(home, 'a/b/c'), { mode: 0o700 })
      await make(join(home, 'a/b/c'))
      const made = await stat(join(home, 'a/b/c'))
      expect([made.isDirectory(), made.mode & 0o777]).toEqual([true, 0o700])
      await writeFile(join(home, 'file'), '')
      await expect(make(join(home, 'file'))).rejects.toMatchObject({ code: 'EEXIST' })
      await expect(make(join(home, 'file/below'))).rejects.toMatchObject({ code: 'EEXIST' })
    } finally {
      await rm(home, { recursive: true })
    }
  })

  it.runIf(process.platform === 'linux')('gives up where the system says that something is missing', async () => {
    await expect(make('/proc/stateward/a/b')).rejects.toMatchObject({ code: 'ENOENT', path: '/proc/stateward' })
  })
})
