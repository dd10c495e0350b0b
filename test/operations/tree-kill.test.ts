import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import { createRuntime } from '../../src/runtime.js'
import { compileChild, type CompiledChild } from '../journal/support/compiled-child.js'

const directories: string[] = []
let family: CompiledChild

beforeAll(async () => {
  family = await compileChild('family', 'test/operations/support')
}, 60_000)

afterAll(async () => {
  await family.remove()
  for (const directory of directories) await rm(directory, { recursive: true })
})

/** Groups are of some 8,000 ends: the first write after the start is the end of the parent, then comes one for each group. */
it.each([0, 1, 2])(
  '[O-154] a process that is killed after %d writes leaves no part behind: the next ends what is below a parent that has ended',
  async (writes) => {
    const directory = await mkdtemp(join(tmpdir(), 'stateward-family-'))
    directories.push(directory)
    const child = family.start(directory, '9000', String(writes))
    let said = ''
    child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()))
    await once(child, 'exit')
    const parent = said.trim().split(' ')[1] as OperationId
    for (let opening = 0; opening < 2; opening += 1) {
      const runtime = await createRuntime({ dataDir: directory })
      await runtime.flush()
      const session = runtime.session('family')
      const lost = session.lost.map(({ displayName }) => displayName)
      const hasEnded = session.feed.watermark() > 0
      if (hasEnded) {
        expect(lost).toEqual(['outlives'])
        expect(session.feed.watermark()).toBe(1 + 9000 + 3000)
      } else {
        expect(lost).toHaveLength(1 + 9000 + 3000 + 1)
        expect(session.lost.some(({ id }) => id === parent)).toBe(true)
      }
      expect(hasEnded).toBe(writes > 0)
      expect(session.operations.activeCount).toBe(0)
      await runtime.close()
    }
  },
  60_000,
)
