import { describe, expect, it } from 'vitest'
import { createActor, fromPromise, transition, type AnyEventObject } from 'xstate'
import {
  idleWakeMachine,
  type FeedSurvey,
  type HoldReason,
  type IdleWakeContext,
  type IdleWakeCursors,
} from '../../machines/idle-wake.js'
import { FeedGapError } from '../../src/base/feed.js'

import { SimulatedClock } from '../../src/testing/simulated-clock.js'

const found: FeedSurvey = { watermark: 7, candidates: [6, 7] }
const nothing: FeedSurvey = { watermark: 7, candidates: [] }
const moved: IdleWakeCursors = { observed: 7, injected: 7 }
const gap = new FeedGapError({ requestedAfterSeq: 3, droppedThrough: 5, watermark: 7 })

const done = (id: string, output?: unknown) => ({ type: `xstate.done.actor.${id}`, output, actorId: id })
const failed = (id: string, error: unknown) => ({ type: `xstate.error.actor.${id}`, error, actorId: id })

const events: Record<string, AnyEventObject> = {
  advanced: done('advance', 7),
  'advanced beyond the hold': done('advance-beyond-hold', 8),
  'surveyed something': done('survey', found),
  'surveyed nothing': done('survey', nothing),
  'met a gap': failed('survey', gap),
  'could not read': failed('survey', new Error('poisoned')),
  observed: done('observe', moved),
  'could not observe': failed('observe', new Error('poisoned')),
  'injection accepted': done('inject', true),
  'injection refused': done('inject', false),
  'injection broke': failed('inject', new Error('queue is gone')),
  recorded: done('record', moved),
  'could not record': failed('record', new Error('poisoned')),
  drained: done('drain'),
  'drain broke': failed('drain', new Error('run failed')),
  'queue drained elsewhere': { type: 'queue_drained' },
  stop: { type: 'stop' },
}

const states = ['waiting', 'deciding', 'observing', 'injecting', 'recording', 'draining', 'holding', 'stopped'] as const
type State = (typeof states)[number]

interface World {
  readonly owned: boolean
  readonly quiescent: boolean
}

const pending = <Output>(): Promise<Output> => new Promise(() => {})

function machineIn({ owned, quiescent }: World) {
  return idleWakeMachine.provide({
    guards: { ownershipIsLost: () => !owned, isQuiescent: () => quiescent },
    actors: {
      advance: fromPromise(() => pending<number>()),
      survey: fromPromise(() => pending<FeedSurvey>()),
      inject: fromPromise(() => pending<boolean>()),
      moveCursors: fromPromise(() => pending<IdleWakeCursors>()),
      processQueue: fromPromise(() => pending<void>()),
    },
  })
}

const context: IdleWakeContext = {
  observed: 3,
  injected: 3,
  survey: found,
  hold: undefined,
  stop: { reason: 'asked' },
}

function next(world: World, value: State, event: AnyEventObject, over: Partial<IdleWakeContext> = {}) {
  const machine = machineIn(world)
  const [snapshot] = transition(
    machine,
    machine.resolveState({ value, context: { ...context, ...over } }),
    event as never,
  )
  return snapshot
}

/** O-77, O-87, O-88; what is missing stays where it is. */
const table: Record<State, Partial<Record<string, State>>> = {
  waiting: { advanced: 'deciding', stop: 'stopped' },
  deciding: {
    'surveyed something': 'injecting',
    'surveyed nothing': 'observing',
    'met a gap': 'stopped',
    'could not read': 'stopped',
    stop: 'stopped',
  },
  observing: { observed: 'waiting', 'could not observe': 'stopped', stop: 'stopped' },
  injecting: {
    'injection accepted': 'recording',
    'injection refused': 'holding',
    'injection broke': 'holding',
    stop: 'stopped',
  },
  recording: { recorded: 'draining', 'could not record': 'stopped', stop: 'stopped' },
  draining: { drained: 'waiting', 'drain broke': 'waiting', stop: 'stopped' },
  holding: { 'advanced beyond the hold': 'deciding', 'queue drained elsewhere': 'deciding', stop: 'stopped' },
  stopped: {},
}

describe('the idle-wake chart', () => {
  const world = { owned: true, quiescent: true }

  it.each(states)('%s: does with every event what the table says', (state) => {
    const names = Object.keys(events)
    const reached = names.map((name) => [name, next(world, state, events[name] as AnyEventObject).value])
    expect(reached).toEqual(names.map((name) => [name, table[state][name] ?? state]))
  })

  it('holds what it found while the runtime is not quiescent', () => {
    const held = next({ owned: true, quiescent: false }, 'deciding', events['surveyed something'] as AnyEventObject)
    expect(held.value).toBe('holding')
    expect(held.context).toMatchObject({ observed: 3, injected: 3 })
    expect(held.context.hold).toEqual({
      reason: 'not_quiescent',
      watermark: 7,
      delay: 25,
      warned: ['not_quiescent'],
    })
  })

  it.each(['surveyed something', 'surveyed nothing'])(
    '[O-84] ends without moving a cursor when it %s as a stranger',
    (name) => {
      const ended = next({ owned: false, quiescent: true }, 'deciding', events[name] as AnyEventObject)
      expect(ended).toMatchObject({ status: 'done', output: { reason: 'lost_ownership' } })
      expect(ended.context).toMatchObject({ observed: 3, injected: 3 })
    },
  )

  it('[O-84] moves no cursor for an accepted injection when the runtime changed hands meanwhile', () => {
    const ended = next({ owned: false, quiescent: true }, 'injecting', events['injection accepted'] as AnyEventObject)
    expect(ended).toMatchObject({ status: 'done', output: { reason: 'lost_ownership' } })
    expect(ended.context).toMatchObject({ observed: 3, injected: 3 })
  })

  it('[O-72] ends at a gap and says which', () => {
    const ended = next(world, 'deciding', events['met a gap'] as AnyEventObject)
    expect(ended.output).toEqual({ reason: 'gap', cause: gap })
  })

  it.each([
    [
      { observed: 0, injected: 0 },
      { observed: 0, injected: 0 },
    ],
    [
      { observed: 4, injected: 0 },
      { observed: 4, injected: 4 },
    ],
    [
      { observed: 2, injected: 5 },
      { observed: 5, injected: 5 },
    ],
    [
      { observed: 6, injected: 5 },
      { observed: 6, injected: 5 },
    ],
  ])('starts from the stored cursors %o at %o, never from the watermark', (stored, start) => {
    expect(createActor(machineIn(world), { input: stored }).getSnapshot().context).toMatchObject(start)
  })

  it('takes the cursors the registry answers, but never stands still behind what it has seen', () => {
    const beyond = done('observe', { observed: 9, injected: 3 })
    expect(next(world, 'observing', beyond).context).toMatchObject({ observed: 9, injected: 3 })
    const behind = done('observe', { observed: 0, injected: 0 })
    expect(next(world, 'observing', behind).context).toMatchObject({ observed: 7, injected: 3 })
  })

  it.each([
    ['observing', 'observed'],
    ['recording', 'recorded'],
  ] as const)('%s clears the hold', (state, name) => {
    const hold = { reason: 'not_quiescent', watermark: 7, delay: 400, warned: ['not_quiescent'] } as const
    expect(next(world, state, events[name] as AnyEventObject, { hold }).context.hold).toBeUndefined()
  })
})

describe('work of the executor while nothing is being held back', () => {
  const hold = { reason: 'not_quiescent', watermark: 7, delay: 400, warned: ['not_quiescent'] } as const

  it.each(['waiting', 'deciding', 'observing', 'injecting', 'recording', 'draining'] as const)(
    'starts the ladder again for the next hold, and leaves the loop %s',
    (state) => {
      const after = next({ owned: true, quiescent: true }, state, { type: 'queue_drained' }, { hold })
      expect(after.value).toBe(state)
      expect(after.context.hold).toEqual({ ...hold, delay: 0 })
    },
  )
})

/** A loop whose every step waits to be answered by the test. */
function startHeld() {
  const clock = new SimulatedClock()
  const surveyed = { count: 0 }
  let refusal: HoldReason = 'not_quiescent'
  const machine = idleWakeMachine.provide({
    guards: { isQuiescent: () => refusal === 'injection_failed' },
    actors: {
      advance: fromPromise(({ input: { cursor } }) => (cursor === 0 ? Promise.resolve(7) : pending<number>())),
      survey: fromPromise(async () => {
        surveyed.count += 1
        return found
      }),
      inject: fromPromise(async () => false),
      moveCursors: fromPromise(async () => moved),
      processQueue: fromPromise(async () => {}),
    },
  })
  const actor = createActor(machine, { clock, input: { observed: 0, injected: 0 } }).start()
  return { clock, actor, surveyed, refuseWith: (other: HoldReason) => (refusal = other) }
}

/** Lets every promise that can settle do so. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('the hold ladder', () => {
  /** Looks again `looks` times and returns the delay before each. */
  async function delays(
    { clock, actor }: ReturnType<typeof startHeld>,
    looks: number,
  ): Promise<(number | undefined)[]> {
    const seen: (number | undefined)[] = []
    for (let look = 0; look < looks; look += 1) {
      await settled()
      const { delay } = actor.getSnapshot().context.hold ?? {}
      seen.push(delay)
      clock.advance((delay ?? 0) - 1)
      await settled()
      expect(actor.getSnapshot().value).toBe('holding')
      clock.advance(1)
    }
    return seen
  }

  it('doubles from 25 ms to 1 s while the reason stays', async () => {
    const loop = startHeld()
    expect(await delays(loop, 9)).toEqual([25, 50, 100, 200, 400, 800, 1000, 1000, 1000])
  })

  it('starts again for another reason, and reports each reason once', async () => {
    const loop = startHeld()
    expect(await delays(loop, 3)).toEqual([25, 50, 100])
    loop.refuseWith('injection_failed')
    expect((await delays(loop, 4)).slice(1)).toEqual([25, 50, 100])
    loop.refuseWith('not_quiescent')
    expect((await delays(loop, 3)).slice(1)).toEqual([25, 50])
    expect(loop.actor.getSnapshot().context.hold?.warned).toEqual(['not_quiescent', 'injection_failed'])
  })

  it('starts again, and looks at once, when the executor did something', async () => {
    const loop = startHeld()
    await delays(loop, 4)
    await settled()
    const before = loop.surveyed.count
    loop.actor.send({ type: 'queue_drained' })
    await settled()
    expect(loop.surveyed.count).toBe(before + 1)
    expect(loop.actor.getSnapshot().context.hold?.delay).toBe(25)
  })

  it('leaves no timer behind when it is stopped', async () => {
    const { clock, actor } = startHeld()
    await settled()
    expect(clock.pendingTimeouts).toBe(1)
    actor.send({ type: 'stop' })
    expect(actor.getSnapshot()).toMatchObject({ status: 'done', output: { reason: 'asked' } })
    expect(clock.pendingTimeouts).toBe(0)
  })
})
