import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Awaiter } from '../../src/processes/awaiter.js'
import { openProcessStore, type ProcessEvent } from '../../src/processes/index.js'
import { watchStore } from '../../src/processes/watched-store.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { isLong, timeout } from '../journal/support/long.js'
import { ProcessOracle } from './support/oracle.js'
import { among, randomCommand, run, stateOf, type Driven, type Random } from './support/random-commands.js'

const startMs = Date.UTC(2026, 0, 1)
const ids = ['a', 'b', 'c'] as const

/** What one owner does, one after the other, until it crashes: then nobody hears of what it has under way. */
const owner = fc.record({
  commands: fc.array(
    randomCommand.filter(({ type }) => type !== 'reopen' && type !== 'prune'),
    { maxLength: 25 },
  ),
  crashesAfter: fc.option(fc.nat({ max: 25 }), { nil: Number.POSITIVE_INFINITY }),
})

/** What of the log a sink is told of: what was appended, unless it is an end. */
const isTold = ({ eventType, semantics }: ProcessEvent): boolean =>
  !eventType.startsWith('process.') && semantics?.terminal === undefined

it('two owners, those who wait and a sink, in whatever order they get on: all are told what plain rules say (P-253)', {
  timeout,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.tuple(owner, owner), async (scheduler, owners) => {
      const clock = new SimulatedClock()
      const embedded = await openProcessStore({ clock })
      const told: ProcessEvent[] = []
      const { store, hub } = watchStore(embedded, {
        clock,
        sinkTimeoutMs: Number.MAX_SAFE_INTEGER,
        sink: {
          async emit(event) {
            told.push(event)
            await scheduler.schedule(Promise.resolve(), 'the sink takes an event')
          },
        },
      })
      using awaiter = new Awaiter({ store, hub, clock })
      const oracle = new ProcessOracle()
      const driven: Driven = {
        store,
        leases: [],
        advance: (milliseconds) => clock.advance(milliseconds),
        reopen: () => Promise.reject(new Error('nothing is opened again')),
      }
      const turn = (label: string): Promise<void> => scheduler.schedule(Promise.resolve(), label)
      const act = async (name: string, commands: readonly Random[], crashesAfter: number): Promise<void> => {
        for (const [index, one] of commands.entries()) {
          await turn(`owner ${name}`)
          const command = among(one, driven.leases.length)
          if (command === undefined) continue
          const expected = oracle.run(command)
          const answer = run(driven, command)
          if (index >= crashesAfter) return void answer
          expect([name, command, await answer]).toEqual([name, command, expected])
        }
      }
      const giveUp = new AbortController()
      const waits: { readonly id: string; readonly answer: Promise<unknown> }[] = []
      const wait = async (id: string): Promise<void> => {
        for (let each = 0; each < 3; each += 1) {
          await turn(`a wait for ${id}`)
          if (!oracle.processes.has(id)) continue
          const answer = awaiter.awaitTerminal(id, { signal: giveUp.signal }).catch(() => 'pending')
          waits.push({ id, answer })
        }
      }
      const everybody = Promise.all([
        ...owners.map(({ commands, crashesAfter }, index) => act(String(index), commands, crashesAfter)),
        ...ids.map(wait),
      ])
      await scheduler.waitFor(everybody)
      await scheduler.waitIdle()

      expect(await stateOf(store, startMs)).toEqual(oracle.state())
      giveUp.abort()
      for (const { id, answer } of waits) {
        const known = oracle.processes.get(id)
        const output = (await answer) as { readonly type: string }
        if (known?.outcome === 'gave up') expect(output.type).toBe('abandoned')
        else expect([id, output]).toEqual([id, known?.status === 'running' ? 'pending' : known?.outcome])
      }
      for (const id of ids) {
        if (!oracle.processes.has(id)) continue
        const log = (await store.eventsAfter(id, 0)).filter(isTold)
        const heard = told.filter(({ processId }) => processId === id)
        expect(heard.map(({ sequence }) => sequence)).toEqual(log.map(({ sequence }) => sequence))
      }
      expect(hub.trackedProcesses()).toBe(0)
      await embedded.close()
    }),
    { numRuns: isLong ? 10_000 : 500 },
  )
})
