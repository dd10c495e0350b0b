import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { ProcessStoreFixture } from '../../src/testing/processes/fixture.js'
import { ProcessOracle } from './support/oracle.js'
import { among, randomCommand, run, stateOf, type Driven } from './support/random-commands.js'
import { journalFixture, memoryFixture } from './support/stores.js'

const startMs = Date.UTC(2026, 0, 1)

it.each([
  ['memory', memoryFixture],
  ['journal', () => journalFixture('records')],
  ['journal with snapshots', () => journalFixture('snapshot')],
] as const)('%s answers and holds what plain rules say, whatever is done to it (P-71)', async (_, createFixture) => {
  await fc.assert(
    fc.asyncProperty(fc.array(randomCommand, { maxLength: 60 }), async (commands) => {
      const fixture = await createFixture()
      try {
        const driven = drive(fixture)
        const oracle = new ProcessOracle()
        for (const one of commands) {
          const command = among(one, oracle.leases.length)
          if (command === undefined) continue
          const expected = oracle.run(command)
          expect([command, await run(driven, command)]).toEqual([command, expected])
          expect([command, await stateOf(driven.store, startMs)]).toEqual([command, oracle.state()])
        }
      } finally {
        await fixture.dispose?.()
      }
    }),
    { numRuns: 150 },
  )
})

function drive({ store, advance, reopen }: ProcessStoreFixture): Driven {
  const driven: Driven = { store, leases: [], advance, reopen: reopen ?? (async () => driven.store) }
  return driven
}
