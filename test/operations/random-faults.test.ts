import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { OperationId, OperationKind } from '../../machines/operation-vocabulary.js'
import { createRuntime, type Runtime } from '../../src/runtime.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { isLong, timeout } from '../journal/support/long.js'
import { ScriptedJournal, settleReactions, storeOf } from '../lane/support/scripted-journal.js'
import { fixtureOf, idOf, resultOf, turnId, specOf, start, type Fixture } from './support/registry.js'

/** What may happen, in any order; `which` picks one of the operations that run. */
type Step =
  | { readonly type: 'complete' | 'cancel' | 'release'; readonly which: number }
  | { readonly type: 'sync'; readonly groups: number }
  | { readonly type: (typeof plain)[number] | (typeof rare)[number] }
  | { readonly type: 'cursor'; readonly cursor: number }

const plain = ['start', 'resume', 'slot', 'refuse', 'compact'] as const
const rare = ['break', 'reopen', 'reopen', 'terminate', 'collect', 'crash', 'wait', 'forget'] as const
const which = fc.nat(7)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('start' as const) }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constantFrom('complete' as const, 'cancel'), which }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('release' as const), which }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('sync' as const), groups: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constantFrom(...plain) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom(...rare) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('cursor' as const), cursor: fc.nat(20) }) },
)

/** A session on a journal that fails as the steps say, which comes back after a crash from what was stable. */
class World {
  journal = new ScriptedJournal()
  clock = new SimulatedClock(start)
  fixture!: Fixture
  runtime!: Runtime
  /** What everybody was told has ended, by id; it must stay so. */
  readonly told = new Map<string, string>()
  #number = 0

  async open(): Promise<void> {
    const stable = stableIn(this.journal)
    this.journal = new ScriptedJournal()
    this.runtime = await createRuntime({ clock: this.clock, store: storeOf(this.journal, stable) })
    // The journal goes on where it was, with what it holds as its first snapshot.
    if (stable.rows.length > 0 || stable.records.length > 0) {
      await this.runtime.compact()
      expect(this.journal.snapshots).toHaveLength(1)
    }
    this.fixture = fixtureOf(this.runtime, this.clock, 'owner', { maxCompleted: 4 })
    await this.journal.sync()
  }

  async take(next: Step): Promise<void> {
    const { fixture, journal, runtime } = this
    const { operations, session } = fixture
    switch (next.type) {
      case 'start':
        this.#number += 1
        ignore(operations.registerOperation(specOf(this.#number)))
        return ignore(operations.provisioningSucceeded(idOf(this.#number)))
      case 'resume': {
        const [lost] = session.lost
        if (lost === undefined) return
        return ignore(
          operations
            .registerOperation({ ...specOf(1), id: lost.id })
            .then(() => operations.provisioningSucceeded(lost.id)),
        )
      }
      case 'slot':
        this.#number += 1
        return ignore(operations.registerOperation(specOf(this.#number, 'background_tool_capacity_slot')))
      case 'complete':
        return this.#end(next.which, 'completed', (id) => operations.completeOperation(id, { ...resultOf(1), id }))
      case 'cancel':
        return this.#end(next.which, 'cancelled', (id) => operations.cancelOperation(id))
      case 'release': {
        const id = this.#pick(next.which, 'background_tool_capacity_slot')
        return id === undefined ? undefined : ignore(operations.abortProvisioning(id))
      }
      case 'terminate':
        return ignore(operations.terminateOwner('leaving'))
      case 'collect':
        return ignore(operations.collectCompleted())
      case 'wait':
        return ignore(
          operations.waitAll(
            turnId,
            operations.listOperations().map(({ id }) => id),
          ).result,
        )
      case 'forget':
        return session.forgetLost()
      case 'cursor':
        operations.advanceCompletionCursor('agent_applied', next.cursor)
        return
      case 'sync':
        return journal.sync(next.groups)
      case 'refuse':
        return journal.underWay.length === 0 ? undefined : journal.fail('journal_not_appended')
      case 'break':
        return journal.underWay.length === 0 ? undefined : journal.fail('journal_durability_unknown')
      case 'reopen':
        return runtime.reopen()
      case 'compact':
        return ignore(runtime.compact())
      case 'crash':
        return this.open()
    }
  }

  /** What a crash now would leave equals what everybody was shown. */
  async check(): Promise<void> {
    await settleReactions()
    const { session, operations } = this.fixture
    const { entries } = session.feed.since(0)
    const sequences = entries.map(({ seq }) => seq)
    expect(sequences).toEqual(sequences.toSorted((one, other) => one - other))
    expect(new Set(sequences).size).toBe(sequences.length)
    for (const [id, type] of this.told) {
      expect(entries.filter(({ operationId }) => operationId === id).map(({ outcome }) => outcome.type)).toEqual([type])
    }
    const crashed = await createRuntime({
      clock: this.clock,
      store: storeOf(new ScriptedJournal(), stableIn(this.journal)),
    })
    const recovered = [...crashed.sessions()][0]
    if (recovered === undefined) return expect(entries).toEqual([])
    expect(recovered.feed.since(0).entries).toEqual(entries)
    const ended = new Set(entries.map(({ operationId }) => operationId))
    expect(recovered.lost.filter(({ id }) => ended.has(id))).toEqual([])
    expect(recovered.operations.completionCursor('agent_applied')).toBeLessThanOrEqual(
      operations.completionCursor('agent_applied'),
    )
  }

  #pick(which: number, kind: OperationKind): OperationId | undefined {
    const live = this.fixture.operations.listOperations().filter((one) => !one.terminal && one.kind === kind)
    return live[which % Math.max(1, live.length)]?.id
  }

  #end(which: number, type: string, end: (id: OperationId) => Promise<void>): void {
    const id = this.#pick(which, 'background_tool_op')
    if (id === undefined) return
    end(id).then(
      () => this.told.set(id, type),
      () => {},
    )
  }
}

function stableIn({ snapshots, stored }: ScriptedJournal) {
  const snapshot = snapshots.at(-1)
  const through = snapshot?.through ?? 0
  const records = stored.filter(({ sequence }) => sequence > through).map(({ record }) => record)
  return { rows: structuredClone(snapshot?.rows ?? []), records: structuredClone(records) }
}

function ignore(promise: Promise<unknown>): void {
  promise.catch(() => {})
}

describe('whatever fails and whenever it crashes', () => {
  it(
    'what was shown is what comes back: no end is lost, doubled, renumbered or shown too early',
    async () => {
      const property = fc.asyncProperty(
        fc.array(step, { minLength: 30, maxLength: 120, size: 'max' }),
        async (steps) => {
          const world = new World()
          await world.open()
          for (const next of steps) {
            await world.take(next)
            await world.check()
          }
        },
      )
      await fc.assert(property, { numRuns: isLong ? 20_000 : 120 })
    },
    timeout,
  )
})
