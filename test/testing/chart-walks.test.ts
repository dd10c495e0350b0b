import { describe, expect, it } from 'vitest'
import { assign, createMachine, setup, type StateValue } from 'xstate'
import { operationMachine, type OperationEvent } from '../../machines/operation.js'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import { followWalk, walkChart, type ChartSystem, type ChartWalk } from '../../src/testing/chart-walks.js'

/** A door that locks only when it is shut. */
const door = createMachine({
  id: 'door',
  initial: 'open',
  states: {
    open: { on: { shut: 'shut' } },
    shut: { on: { open: 'open', lock: 'locked' } },
    locked: { on: { unlock: 'shut' } },
  },
})
const events = ['shut', 'open', 'lock', 'unlock'].map((type) => ({ type }))
const names = (walks: readonly { readonly name: string }[]): string[] => walks.map(({ name }) => name)

/** Lets a counter be taken down once it is above zero. */
const counter = setup({
  types: { context: {} as { count: number }, events: {} as { type: 'up' | 'down' } },
}).createMachine({
  id: 'counter',
  context: { count: 0 },
  initial: 'counting',
  states: {
    counting: {
      on: {
        up: { actions: assign({ count: ({ context }) => context.count + 1 }) },
        down: { guard: ({ context }) => context.count > 0, target: 'done' },
      },
    },
    done: {},
  },
})

describe('walks through a chart', () => {
  it('reach every state by the shortest way, and say what is refused there', () => {
    const walks = walkChart(door, { events })
    expect(names(walks)).toEqual(['open', 'open -shut-> shut', 'open -shut-> shut -lock-> locked'])
    expect(walks.map(({ refused }) => refused.map(({ type }) => type))).toEqual([
      ['open', 'lock', 'unlock'],
      ['shut', 'unlock'],
      ['shut', 'open', 'lock'],
    ])
  })

  it('go through every transition', () => {
    expect(names(walkChart(door, { events, cover: 'transitions' }))).toEqual([
      'open -shut-> shut',
      'open -shut-> shut -open-> open',
      'open -shut-> shut -lock-> locked',
      'open -shut-> shut -lock-> locked -unlock-> shut',
    ])
  })

  it('take every path that enters no state twice', () => {
    const both = createMachine({
      initial: 'a',
      states: { a: { on: { near: 'b', far: 'c' } }, b: { on: { far: 'c' } }, c: {} },
    })
    const walks = walkChart(both, { events: [{ type: 'near' }, { type: 'far' }], cover: 'paths' })
    expect(names(walks).toSorted()).toEqual(['a', 'a -far-> c', 'a -near-> b', 'a -near-> b -far-> c'])
  })

  it('tell places apart by data too, where guards look at it, up to a limit', () => {
    const both = [{ type: 'up' }, { type: 'down' }] as const
    const distinguish = ({ context }: { readonly context: { readonly count: number } }) => context.count > 0
    expect(names(walkChart(counter, { events: both, distinguish }))).toContain('counting -up-> counting -down-> done')
    const countOf = ({ context }: { readonly context: { readonly count: number } }) => context.count
    const endless = { events: both, distinguish: countOf, limit: 20 }
    expect(() => walkChart(counter, endless)).toThrow(expect.objectContaining({ code: 'invalid_input' }))
  })

  it('know the charts of stateward', () => {
    const id = 'one' as OperationId
    const outcomes: OperationEvent[] = [
      { type: 'start' },
      { type: 'retire_requested' },
      { type: 'retire_completed', outcome: { type: 'retired' } },
      { type: 'fail', outcome: { type: 'failed', error: 'broken' } },
    ]
    const input = { id, kind: 'background_tool_op', displayName: 'work' } as const
    const walks = walkChart(operationMachine, { events: outcomes, input })
    expect(names(walks)).toEqual([
      'provisioning',
      'provisioning -start-> running',
      'provisioning -fail-> failed',
      'provisioning -start-> running -retire_requested-> retiring',
      'provisioning -start-> running -retire_completed-> retired',
    ])
    expect(walks[3]?.steps.map(({ snapshot }) => snapshot.context.displayName)).toEqual(['work', 'work'])
  })
})

/** A door of somebody else's making, with a fault. */
class Door implements ChartSystem<typeof door> {
  readonly #fault: string | undefined
  #state = 'open'

  constructor(fault?: string) {
    this.#fault = fault
  }

  async send({ type }: { readonly type: string }): Promise<void> {
    const next: Record<string, string> = {
      'open shut': 'shut',
      'shut open': 'open',
      'shut lock': this.#fault === 'wrong state' ? 'open' : 'locked',
      'locked unlock': 'shut',
      ...(this.#fault === 'takes too much' && { 'open lock': 'open' }),
      ...(this.#fault === 'goes on' && { 'locked open': 'open' }),
    }
    const to = next[`${this.#state} ${type}`]
    if (to === undefined || (this.#fault === 'refuses' && type === 'unlock')) {
      if (this.#fault === 'moves although it refuses' && this.#state === 'locked') this.#state = 'shut'
      throw new Error(`no ${type}`)
    }
    this.#state = to
  }

  async state(): Promise<StateValue> {
    return this.#state
  }
}

/** The first walk that a door fails, and why. */
async function faultOf(fault?: string): Promise<string | undefined> {
  const walks: readonly ChartWalk<typeof door>[] = walkChart(door, { events, cover: 'transitions' })
  for (const walk of [...walkChart(door, { events }), ...walks]) {
    try {
      await followWalk(walk, new Door(fault))
    } catch (error) {
      return (error as Error).message.split('\n')[0]
    }
  }
  return undefined
}

describe('a system that follows every walk', () => {
  it('passes when it does as the chart says', async () => {
    expect(await faultOf()).toBeUndefined()
  })

  it.each([
    ['wrong state', 'after lock on open -shut-> shut -lock-> locked'],
    ['takes too much', 'lock should be refused after open'],
    ['goes on', 'open should be refused after open -shut-> shut -lock-> locked'],
    ['moves although it refuses', 'after the refused shut, after open -shut-> shut -lock-> locked'],
    ['refuses', 'unlock was refused on open -shut-> shut -lock-> locked -unlock-> shut: no unlock'],
  ])('fails with the fault: %s', async (fault, message) => {
    expect(await faultOf(fault)).toBe(message)
  })
})
