import { describe, expect, it } from 'vitest'
import { isDeepStrictEqual } from 'node:util'
import { createMemoryJournal, type MemoryJournalStore } from '../../src/journal/memory-journal.js'
import { createRuntime } from '../../src/runtime.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { unhandledDuring } from '../support/unhandled.js'
import { completed, fixtureOf, idOf, turnId, specOf, start, type Fixture } from './support/registry.js'

/** What the registry's chart orders: every way in which memory changes. */
const applied = ['register', 'advance', 'end', 'publish', 'beginWait', 'cancelWait', 'drop', 'advanceCursor'] as const

/** Lets one of the changes of a registry's memory break off, before or after it has happened; counts them. */
class Saboteur {
  calls = 0
  readonly #at: number
  readonly #when: 'before' | 'after'

  constructor(at: number, when: 'before' | 'after') {
    this.#at = at
    this.#when = when
  }

  visit({ session }: Fixture): void {
    const { core } = session.history
    for (const name of applied) this.#wrap(core.records, name)
    // As when the stack is at its end: XState never comes to the chart, or not back from it.
    this.#wrap(core.actor, 'send')
  }

  #wrap(target: object, name: string): void {
    const apply = (Reflect.get(target, name) as (...values: unknown[]) => unknown).bind(target)
    Object.assign(target, {
      [name]: (...values: unknown[]) => {
        this.calls += 1
        const isDue = this.calls === this.#at
        if (isDue && this.#when === 'before') throw new Error('memory broke')
        const result = apply(...values)
        if (isDue) throw new Error('memory broke')
        return result
      },
    })
  }
}

/** Everything a registry can do, whatever becomes of it; notes which ends were acknowledged. */
async function live({ operations }: Fixture, acknowledged: Set<string>): Promise<void> {
  const call = async (step: () => unknown): Promise<boolean> => {
    try {
      await step()
      return true
    } catch {
      return false
    }
  }
  const end = async (number: number, step: () => Promise<void>): Promise<void> => {
    if (await call(step)) acknowledged.add(idOf(number))
  }
  for (const number of [1, 2, 3, 4]) {
    await call(() => operations.registerOperation(specOf(number)))
    await call(() => operations.provisioningSucceeded(idOf(number)))
  }
  await call(() => operations.reportProgress(idOf(1), { message: 'half' }))
  const wait = await call(() => operations.waitAll(turnId, [idOf(4)])[Symbol.dispose]())
  expect(typeof wait).toBe('boolean')
  // Two of them under way together.
  await Promise.all([
    end(1, () => operations.failOperation(idOf(1), 'one')),
    end(2, () => operations.completeOperation(idOf(2), { ...resultOf2 })),
  ])
  await call(() => operations.advanceCompletionCursor('agent_applied', 1))
  await call(() => operations.collectCompleted())
  await end(3, () => operations.cancelOperation(idOf(3), 'three'))
  await call(() => operations.requestRetire(idOf(4)))
  await call(() => operations.terminateOwner('leaving'))
}

const resultOf2 = (completed(2) as { result: Parameters<Fixture['operations']['completeOperation']>[1] }).result

async function endsIn(store: MemoryJournalStore): Promise<string[]> {
  const { journal, recovery } = await store.open()
  const facts = [...recovery.records].map(({ record }) => (record as [string, { type: string; id: string }])[1])
  await journal.close()
  return facts.filter(({ type }) => type === 'operation_ended').map(({ id }) => id)
}

async function scenario(saboteur: Saboteur, leave: 'close' | 'crash' | 'compact') {
  const store = createMemoryJournal()
  const clock = new SimulatedClock(start)
  const runtime = await createRuntime({ store, clock })
  const fixture = fixtureOf(runtime, clock)
  saboteur.visit(fixture)
  const acknowledged = new Set<string>()
  await live(fixture, acknowledged)
  const reopened = await runtime.reopen().then(
    () => 'reopened',
    (refused: unknown) => (refused as { code: string }).code,
  )
  // Whoever was refused tries again, as a host does.
  await live(fixture, acknowledged)
  await runtime.reopen().catch(() => {})
  await live(fixture, acknowledged)
  // A snapshot would hide what the journal lacks.
  if (leave === 'compact') await runtime.compact().catch(() => {})
  if (leave === 'crash') store.crash()
  await runtime.close({ policy: 'terminate' }).catch(() => {})
  const ends = await endsIn(store)
  // Opens: no record contradicts another.
  const next = await createRuntime({ store, clock })
  const outcomes = next.session('owner').feed.since(0).entries
  await next.close()
  return { acknowledged, reopened, ends, outcomes }
}

const changes = await counted()

async function counted(): Promise<number> {
  const saboteur = new Saboteur(0, 'before')
  await scenario(saboteur, 'close')
  return saboteur.calls
}

describe('a change that breaks off while it is applied', () => {
  it('is tried at every change of the script', () => {
    expect(changes).toBeGreaterThan(25)
  })

  describe.each(['before', 'after'] as const)('%s it has happened', (when) => {
    it.each(['close', 'crash', 'compact'] as const)(
      'is read back by the next process, which finds every end that was acknowledged, each once (%s)',
      async (leave) => {
        let refused = 0
        const unhandled = await unhandledDuring(async () => {
          for (let at = 1; at <= changes; at += 1) {
            const { acknowledged, reopened, ends, outcomes } = await scenario(new Saboteur(at, when), leave)
            const found = outcomes.map(({ operationId }) => operationId as string)
            expect([at, new Set(ends).size]).toEqual([at, ends.length])
            expect([at, [...acknowledged].filter((id) => !found.includes(id as never))]).toEqual([at, []])
            expect(isDeepStrictEqual(found, [...new Set(found)])).toBe(true)
            if (reopened === 'lane_apply_failed') refused += 1
            else expect([at, reopened]).toEqual([at, 'reopened'])
          }
        })
        expect(unhandled).toEqual([])
        expect(refused).toBeGreaterThan(2)
      },
    )
  })
})
