import fc from 'fast-check'
import { expect } from 'vitest'
import type { ProcessStoreFixture } from '../../../src/testing/processes/fixture.js'
import { ProcessOracle } from './oracle.js'
import { among, randomCommand, run, stateOf, type Driven, type Random } from './random-commands.js'

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

/** What is more than one change, or none of a process: these are done on their own. */
const alone: ReadonlySet<Random['type']> = new Set(['advance', 'reopen', 'prune', 'delete_session'])

/** Does random things at the same time, and expects each answer and the state to be as if they had come one by one. */
export async function expectAgreementTogether(
  createFixture: () => Promise<ProcessStoreFixture>,
  { numRuns }: { readonly numRuns: number },
): Promise<void> {
  const batches = fc.array(fc.array(randomCommand, { maxLength: 12 }), { maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(batches, async (all) => {
      const fixture = await createFixture()
      try {
        const driven = drive(fixture)
        const oracle = new ProcessOracle()
        for (const batch of all) {
          const [single] = batch.filter(({ type }) => alone.has(type))
          const wanted = single === undefined ? batch : [single]
          const given = oracle.leases.length
          const commands = wanted.map((one) => among(one, given)).filter((command) => command !== undefined)
          const expected = commands.map((command) => oracle.run(command))
          const each = commands.map(() => ({ ...driven, leases: [...driven.leases] }))
          const answers = await Promise.all(commands.map((command, index) => run(each[index] as Driven, command)))
          for (const { leases, store } of each) {
            driven.leases.push(...leases.slice(given))
            driven.store = single?.type === 'reopen' ? store : driven.store
          }
          expect([commands, answers]).toEqual([commands, expected])
          expect([commands, await stateOf(driven.store, startMs)]).toEqual([commands, oracle.state()])
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
