import fc from 'fast-check'
import { expect } from 'vitest'
import type { ProcessStoreFixture } from '../../../src/testing/processes/fixture.js'
import { ProcessOracle } from './oracle.js'
import { among, randomCommand, run, stateOf, type Driven } from './random-commands.js'

const startMs = Date.UTC(2026, 0, 1)

/** Does random things to stores and expects each answer and state to be what plain rules say. */
export async function expectAgreement(
  createFixture: () => Promise<ProcessStoreFixture>,
  { numRuns }: { readonly numRuns: number },
): Promise<void> {
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
    { numRuns },
  )
}

function drive({ store, advance, reopen }: ProcessStoreFixture): Driven {
  const driven: Driven = { store, leases: [], advance, reopen: reopen ?? (async () => driven.store) }
  return driven
}
