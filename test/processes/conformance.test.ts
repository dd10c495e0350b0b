import { describe, expect, it } from 'vitest'
import type { ProcessLease, ProcessStore } from '../../src/processes/index.js'
import { processStoreConformance } from '../../src/testing/process-store-conformance.js'
import { createRuntime } from '../../src/runtime.js'
import { journalFixture, memoryFixture } from './support/stores.js'

processStoreConformance({ describe, it }, 'memory', memoryFixture)
processStoreConformance({ describe, it }, 'journal', () => journalFixture('records'))
processStoreConformance({ describe, it }, 'journal with snapshots', () => journalFixture('snapshot'))

/** A store with other parts in place of some of its own. */
function withParts(inner: ProcessStore, parts: Partial<Record<keyof ProcessStore, unknown>>): ProcessStore {
  return new Proxy(inner, {
    get(target, key) {
      if (key in parts) return parts[key as keyof ProcessStore]
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** What the suite says of a wrong store, by test. */
async function complaintsAbout(wrong: (inner: ProcessStore) => ProcessStore): Promise<ReadonlyMap<string, string>> {
  const tests = new Map<string, () => unknown>()
  const suite = {
    describe: (_: string, define: () => void) => define(),
    it: (name: string, run: () => unknown) => void tests.set(name, run),
  }
  processStoreConformance(suite, 'wrong', async () => {
    const { store, ...fixture } = await memoryFixture()
    return { ...fixture, store: wrong(store) }
  })
  const complaints = new Map<string, string>()
  for (const [name, run] of tests) {
    try {
      await run()
    } catch (complaint) {
      complaints.set(name, (complaint as Error).message)
    }
  }
  return complaints
}

describe('a store that is not what it should be', () => {
  it('is told which methods it lacks', async () => {
    const lacking = { listWork: undefined, compactTombstones: undefined }
    const complaints = await complaintsAbout((inner) => withParts(inner, lacking))
    const [first] = complaints.values()
    expect(first).toContain('methods of the port that the store does not have')
    const inner = (await memoryFixture()).store
    const store = withParts(inner, lacking)
    await expect(createRuntime({ processes: { store } })).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field: 'processes.store', reason: 'has no method compactTombstones' },
    })
  })

  it.each<[string, string, (inner: ProcessStore) => ProcessStore]>([
    [
      'hands out another lease with a second start than it keeps',
      'P-254: a claim that begins an execution is one change',
      (inner) => {
        let first: ProcessLease | undefined
        const claimAndStart: ProcessStore['claimAndStart'] = async (...call) => {
          const claimed = await inner.claimAndStart(...call)
          if (claimed.outcome !== 'started') return claimed
          first ??= claimed.lease
          return { ...claimed, lease: first }
        }
        return withParts(inner, { claimAndStart })
      },
    ],
    [
      'takes nobody to be dead whatever its fixture says',
      'P-44: only a holder that was observed and is dead is taken the lease from',
      (inner) => withParts(inner, { isHolderDead: () => false }),
    ],
    [
      'has no hub although it alone writes',
      'says what it is, and how durable',
      (inner) => withParts(inner, { hub: undefined }),
    ],
  ])('is told when it %s', async (_, test, wrong) => {
    expect([...(await complaintsAbout(wrong)).keys()]).toContain(test)
  })
})
