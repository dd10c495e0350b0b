import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { maintenanceChart } from '../../machines/maintenance.js'
import { supervisionChart } from '../../machines/daemon-supervision.js'
import type { NodeAction } from '../../src/node/action.js'
import { isInert } from '../../src/node/chain-row.js'
import type { FoldEvent } from '../../src/node/fold-event.js'
import { fold } from '../../src/node/fold.js'
import { resolveNodeOptions } from '../../src/node/options.js'
import { reconcile } from '../../src/node/reconcile/reconcile.js'
import type { Scorer } from '../../src/node/scorer.js'
import { isOtherThan, projectSnapshot } from '../../src/node/snapshot-projection.js'
import { NodeState, type NodeVersion } from '../../src/node/state.js'
import { anyLife, type Turn } from './support/history.js'
import { nodeId, nothingElse, self } from './support/node.js'

const scorer: Scorer = {
  score: (chain, node) => ((Number(chain) * 7 + Number(node) * 3) % 10) / 10,
  bestAlternative: (chain, exclude) => {
    const free = [1, 2, 3, 4].map(nodeId).find((node) => !exclude.includes(node))
    return free && { node: free, score: ((Number(chain) * 7 + Number(free) * 3) % 10) / 10 + 0.4 }
  },
}

/** What was folded, and what came of each pass: its version, actions and snapshot. */
interface Recorded {
  readonly log: FoldEvent[]
  readonly passes: { readonly version: NodeVersion; readonly actions: readonly NodeAction[]; readonly json: string }[]
}

function newState(): NodeState {
  return new NodeState(resolveNodeOptions({ thisNode: self, forcedEntriesCapacity: 8 }))
}

function json(version: NodeVersion): string {
  return JSON.stringify(projectSnapshot(version, nothingElse))
}

/** Lives a life as the loop would: events, a tick, a pass, what the queue has taken of it. */
function live(turns: readonly Turn[], check: (state: NodeState, actions: readonly NodeAction[]) => void = () => {}) {
  const state = newState()
  const recorded: Recorded = { log: [], passes: [] }
  const put = (event: FoldEvent): void => {
    recorded.log.push(event)
    fold(state, event)
  }
  put({ type: 'started', at: 1000 })
  for (const { events, elapsedMs, taken } of turns) {
    for (const event of events) put(event)
    put({ type: 'tick', at: state.now + elapsedMs })
    const version = state.version()
    const actions = reconcile(version, { scorer })
    check(state, actions)
    recorded.passes.push({ version, actions, json: json(version) })
    put({ type: 'reconciled', enqueued: actions.slice(0, taken) })
  }
  return { state, recorded }
}

/** The tables of a version as plain values. */
function plain({ configuration: _, ...version }: NodeVersion): object {
  return Object.fromEntries(
    Object.entries(version).map(([name, value]: [string, unknown]) => [
      name,
      value instanceof Object && Symbol.iterator in value ? [...(value as Iterable<unknown>)] : value,
    ]),
  )
}

describe('a recorded log', () => {
  it('folded again comes to the same states, actions and snapshots (N-123)', () => {
    fc.assert(
      fc.property(anyLife, (turns) => {
        const { state, recorded } = live(turns)
        const again = newState()
        const passes = recorded.passes[Symbol.iterator]()
        // What the queue has taken comes after every pass, which is made again before it is folded.
        for (const event of JSON.parse(JSON.stringify(recorded.log)) as FoldEvent[]) {
          if (event.type === 'reconciled') {
            const { value } = passes.next() as { value: Recorded['passes'][number] }
            expect(reconcile(again.version(), { scorer })).toEqual(value.actions)
            expect(plain(again.version())).toEqual(plain(value.version))
            expect(json(again.version())).toBe(value.json)
          }
          fold(again, event)
        }
        expect(plain(again.version())).toEqual(plain(state.version()))
      }),
      { numRuns: 150 },
    )
  })
})

describe('in any life', () => {
  it('a pass made twice is the same, asks one copy of a chain at most to go, and touches nothing (N-43, N-60)', () => {
    fc.assert(
      fc.property(anyLife, (turns) => {
        live(turns, (state, actions) => {
          const version = state.version()
          expect(reconcile(version, { scorer })).toEqual(actions)
          expect(state.version()).toEqual(version)
          // Looking at everything finds nothing else than looking at what is not as it should be.
          const { daemons, chains } = version
          const all = { ...version, unsettledDaemons: daemons, unsettledChains: chains }
          expect(reconcile(all, { scorer })).toEqual(actions)
          const evicted = actions.flatMap((action) => (action.type === 'request_eviction' ? [action.chain] : []))
          // An operator's eviction and the count may name a chain, but one of them only.
          expect(new Set(evicted).size).toBe(evicted.length)
          expect(actions.filter(({ type }) => type === 'commit_maintenance_transition').length).toBeLessThan(2)
        })
      }),
      { numRuns: 100 },
    )
  })

  it('a tick leaves nothing that it should have released, and states are those of the charts (N-28, N-102, N-103)', () => {
    fc.assert(
      fc.property(anyLife, (turns) => {
        live(turns, (state) => {
          const { daemons, chains, avoided, now, maintenance, configuration, freeze } = state.version()
          for (const { place } of daemons.values()) {
            expect(place.context.gateUntil ?? Infinity).toBeGreaterThan(now)
            expect(place.context.answerBy ?? Infinity).toBeGreaterThan(now)
            expect(supervisionChart.isReachable(place.value)).toBe(true)
          }
          for (const row of chains.values()) {
            expect(isInert(row, now, configuration.scheduler.cooldownMs)).toBe(false)
            expect(row.holders).toEqual([...new Set(row.holders)].toSorted())
          }
          const held = [...chains.values()].filter(({ holders }) => holders.includes(self))
          expect(state.version().heldHere).toBe(held.length)
          for (const { until } of avoided.values()) expect(until).toBeGreaterThan(now)
          expect(freeze.context.until ?? Infinity).toBeGreaterThan(now)
          expect(maintenanceChart.isReachable(maintenance.value)).toBe(true)
        })
      }),
      { numRuns: 100 },
    )
  })

  it('adding a copy twice is adding it once (N-27)', () => {
    fc.assert(
      fc.property(anyLife, (turns) => {
        const twice = turns.map((turn) => ({
          ...turn,
          events: turn.events.flatMap((event) =>
            event.type === 'replica_update' && (event.change === 'added' || event.change === 'repaired')
              ? [event, event]
              : [event],
          ),
        }))
        expect(plain(live(twice).state.version())).toEqual(plain(live(turns).state.version()))
      }),
      { numRuns: 60 },
    )
  })

  it('whatever differs is said to, and what follows from time alone is not (N-124)', () => {
    fc.assert(
      fc.property(anyLife, (turns) => {
        let before: NodeVersion | undefined
        live(turns, (state) => {
          const version = state.version()
          if (before !== undefined && !isOtherThan(version, before)) {
            expect(json({ ...version, now: 0 })).toBe(json({ ...before, now: 0 }))
          }
          before = version
        })
      }),
      { numRuns: 100 },
    )
    const { state } = live([])
    const before = state.version()
    fold(state, { type: 'tick', at: 9000 })
    expect(isOtherThan(state.version(), before)).toBe(false)
    fold(state, { type: 'rtt_sample', peer: nodeId(2), rttMs: 3 })
    expect(isOtherThan(state.version(), before)).toBe(true)
  })
})

describe('a snapshot', () => {
  it('that somebody holds is the same after a thousand ticks (N-125)', () => {
    const state = newState()
    const held: [snapshot: object, json: string][] = []
    const life = fc.sample(anyLife, { numRuns: 60, seed: 7 }).flat()
    for (let tick = 0; tick < 1000; tick += 1) {
      const turn = life[tick % life.length] as Turn
      for (const event of turn.events) fold(state, event)
      fold(state, { type: 'tick', at: state.now + 500 })
      const version = state.version()
      fold(state, { type: 'reconciled', enqueued: reconcile(version) })
      if (tick % 50 !== 0) continue
      const snapshot = projectSnapshot(version, nothingElse)
      held.push([snapshot, JSON.stringify(snapshot)])
    }
    expect(new Set(held.map(([, text]) => text)).size).toBeGreaterThan(10)
    for (const [snapshot, text] of held) expect(JSON.stringify(snapshot)).toBe(text)
  })
})
