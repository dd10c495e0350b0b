import type { SuiteFunctions } from './journal-conformance.js'
import { endsPart } from './processes/ends.js'
import { eventsPart } from './processes/events.js'
import type { ProcessStoreFixture } from './processes/fixture.js'
import { leasesPart } from './processes/leases.js'
import { listsPart } from './processes/lists.js'
import { registrationPart } from './processes/registration.js'

/**
 * Defines a suite that every {@link ProcessStore} must pass: registration, the log and its order, ends, leases and
 * fencing, handles, sessions, lists, pending work, the change feed, pruning and reopening.
 *
 *     import { describe, it } from 'vitest'
 *     processStoreConformance({ describe, it }, 'my store', async () => {
 *       const clock = new SimulatedClock()
 *       const dead = new Set<string>()
 *       const store = createMyStore({ clock, isHolderDead: ({ leaseToken }) => dead.has(leaseToken) })
 *       const declareDead = ({ leaseToken }) => void dead.add(leaseToken)
 *       return { store, advance: (milliseconds) => clock.advance(milliseconds), declareDead }
 *     })
 *
 * Failures are thrown as `AssertionError` of node:assert.
 */
export function processStoreConformance(
  { describe, it }: SuiteFunctions,
  name: string,
  createFixture: () => Promise<ProcessStoreFixture>,
): void {
  const test = (behaviour: string, run: (fixture: ProcessStoreFixture) => Promise<void>): void => {
    it(behaviour, async () => {
      const fixture = await createFixture()
      try {
        await run(fixture)
      } finally {
        await fixture.dispose?.()
      }
    })
  }
  describe(`${name} as a process store`, () => {
    for (const part of [registrationPart, eventsPart, endsPart, leasesPart, listsPart]) part(test)
  })
}
