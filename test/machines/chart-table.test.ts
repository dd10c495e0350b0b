import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  and,
  assign,
  createActor,
  getNextSnapshot,
  not,
  or,
  raise,
  setup,
  stateIn,
  type AnyEventObject,
  type AnyMachineSnapshot,
  type AnyStateMachine,
} from 'xstate'
import { ChartTable } from '../../machines/chart-table.js'
import { dispatcherMachine } from '../../machines/dispatcher.js'
import { engineMachine } from '../../machines/engine.js'
import { operationMachine } from '../../machines/operation.js'
import { operationRegistryMachine } from '../../machines/operation-registry.js'
import {
  operationActions,
  operationKinds,
  terminalStatuses,
  terminalStatusOf,
} from '../../machines/operation-vocabulary.js'
import { runMachine } from '../../machines/run.js'
import { turnMachine } from '../../machines/turn.js'
import { waitAllBarrierMachine } from '../../machines/wait-all-barrier.js'

/** Events per chart; a long run is asked for by the environment. */
const eventsPerChart = Number(process.env['STATEWARD_DIFFERENTIAL_EVENTS'] ?? 2_000)
const eventsPerWalk = 40

interface Subject {
  readonly machine: AnyStateMachine
  readonly events: readonly AnyEventObject[]
  readonly input?: unknown
}

/** What XState or the table answered, or the message of what was thrown on the way. */
function answerOf(ask: () => unknown): unknown {
  try {
    return ask()
  } catch (error) {
    return `threw ${(error as Error).message.split('\n')[0]}`
  }
}

/** Walks a chart by random events, compares every step with XState's own and returns how many there were; starts anew at an end. */
function compare({ machine, events, input }: Subject): number {
  let count = 0
  const table = new ChartTable(machine)
  const start = (): AnyMachineSnapshot => createActor(machine, { input: input }).getSnapshot()
  fc.assert(
    fc.property(fc.array(fc.nat(events.length - 1), { minLength: 1, maxLength: eventsPerWalk }), (walk) => {
      let snapshot = start()
      for (const index of walk) {
        count += 1
        if (snapshot.status !== 'active') snapshot = start()
        const event = events[index] as AnyEventObject
        const { value, context } = snapshot
        const place = { value, context } as never
        const transitions = answerOf(() => machine.getTransitionData(snapshot as never, event))
        const selection = answerOf(() => table.select(place, event)) as ReturnType<typeof table.select>
        if (typeof transitions === 'string') {
          expect(selection).toBe(transitions)
          continue
        }
        expect(selection.steps.map(({ transition }) => transition)).toEqual(transitions)
        expect({ event, value, isTaken: selection.isTaken }).toEqual({ event, value, isTaken: snapshot.can(event) })
        const next = answerOf(() => getNextSnapshot(machine, snapshot as never, event as never)) as AnyMachineSnapshot
        const moved = answerOf(() => table.move(place, event)) as AnyMachineSnapshot | undefined
        const found = typeof moved === 'string' ? moved : moved && { value: moved.value, context: moved.context }
        const wanted = typeof next === 'string' ? next : { value: next.value, context: next.context }
        expect({ event, value, found }).toEqual({ event, value, found: selection.isTaken ? wanted : undefined })
        if (typeof next !== 'string' && next.status !== 'error') snapshot = next
      }
    }),
    { numRuns: Math.ceil((4 * eventsPerChart) / eventsPerWalk) },
  )
  return count
}

const id = 'a'
const outcomes = terminalStatuses.map((type) => ({ type }))

/** A book whose answers differ from event to event, but not while one event is looked at. */
const bookOf = (): Record<string, (event?: unknown) => boolean> => {
  const bit = (place: number) => (asked?: unknown) =>
    ((JSON.stringify(asked ?? '').length * 2_654_435_761 + place * 40_503) >>> place) % 3 === 0
  const questions = ['has', 'isUsed', 'hasWellFormedSource', 'isFull', 'allows', 'isTurnWaiting', 'hasActiveWait']
  return Object.fromEntries(questions.map((question, place) => [question, bit(place)]))
}

const product: Record<string, Subject> = {
  ...Object.fromEntries(
    operationKinds.map((kind) => [
      `operation, ${kind}`,
      {
        machine: operationMachine,
        input: { id, kind, displayName: 'build' },
        events: operationActions.flatMap((type): AnyEventObject[] =>
          type in terminalStatusOf
            ? outcomes.map((outcome) => ({ type, outcome }))
            : Array.from({ length: 6 }, () => ({ type })),
        ),
      },
    ]),
  ),
  'operation registry': {
    machine: operationRegistryMachine,
    input: { book: bookOf() },
    events: [
      ...['a', 'bb', 'ccc', 'dddd', 'eeeee'].flatMap((operation) => [
        { type: 'register', spec: { id: operation } },
        { type: 'register', spec: { id: operation }, limit: operation.length },
        ...operationActions.map((action) => ({
          type: `operation.${action}`,
          id: operation,
          ...(action in terminalStatusOf && { outcome: { type: operation } }),
        })),
        { type: 'wait_all.begin', requestId: operation, operationIds: [operation] },
        { type: 'wait_all.begin', requestId: operation, operationIds: [operation, operation] },
        { type: 'wait_all.cancel', requestId: operation, reason: 'left' },
      ]),
      { type: 'owner.drain' },
      { type: 'owner.retire' },
      { type: 'fault', cause: 'half-way' },
      { type: 'records.drop', ids: [id] },
      { type: 'operations.unheard_of' },
    ],
  },
  run: {
    machine: runMachine,
    events: [
      ...runMachine.events.filter((type) => /^to_|suspend|resume/.test(type)).map((type) => ({ type })),
      // The way to work, more often: most of what there is to see lies beyond it.
      ...['to_ready', 'to_leased', 'to_running'].flatMap((type) => Array.from({ length: 12 }, () => ({ type }))),
      ...['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7', 'a8'].map((attemptId) => ({ type: 'start_attempt', attemptId })),
      ...['a1', 'a2'].map((attemptId) => ({ type: 'finish_attempt', attemptId })),
      ...['one', 'two'].map((owner) => ({ type: 'acquire_lease', lease: { owner, expiresAtMs: 5, fencingToken: 1 } })),
      ...['one', 'two'].flatMap((owner) =>
        [4, 5, 6].flatMap((expiresAtMs) => [
          { type: 'extend_lease', owner, expiresAtMs },
          { type: 'close_lease', owner, expiresAtMs },
        ]),
      ),
    ],
  },
  engine: {
    machine: engineMachine,
    events: ['pause', 'resume'].flatMap((type) => [3, 5, 7].map((atMs) => ({ type, atMs }))),
  },
  dispatcher: {
    machine: dispatcherMachine,
    events: [
      ...['start', 'pause', 'resume'].map((type) => ({ type })),
      ...[true, false].map((paused) => ({ type: 'recovered', paused })),
      ...[0, 2].flatMap((attempts) => ['drain', 'attempt_ended'].map((type) => ({ type, attempts }))),
    ],
  },
  turn: {
    machine: turnMachine,
    input: { turnId: 'now' },
    events: ['now', 'stale'].flatMap((turnId) => [
      { type: 'register_pending_operations', turnId, refs: [{ operationId: id, waitPolicy: 'barrier' }] },
      { type: 'register_pending_operations', turnId, refs: [] },
      { type: 'operations_barrier_satisfied', turnId, operationIds: [id] },
      { type: 'tool_calls_resolved', turnId },
      { type: 'boundary_drained', turnId },
      { type: 'finish', turnId },
      { type: 'fail', turnId, reason: 'broken' },
    ]),
  },
  'wait-all barrier': {
    machine: waitAllBarrierMachine,
    input: { requestId: 'r', turnId: 'now', operationIds: [id], remaining: 3 },
    events: ['begin', 'member_ended', 'member_ended', 'acknowledge', 'cancel', 'fault'].map((type) => ({ type })),
  },
}

const kit = setup({
  types: { context: {} as { count: number }, events: {} as { readonly type: string; readonly by?: number } },
  guards: {
    isEven: ({ context }) => context.count % 2 === 0,
    isBelow: ({ context }, { limit }: { readonly limit: number }) => context.count < limit,
    isLow: and([({ context }) => context['count'] < 6, not('isEven' as never)]) as never,
    isInB: stateIn('#b'),
    breaks: ({ context }) => {
      if (context.count > 3) throw new Error('the guard broke')
      return false
    },
  },
  actions: {
    add: assign(({ context, event }) => ({ count: context.count + (event.by ?? 1) })),
    reset: assign({ count: 0 }),
    note: () => {},
  },
})

const events = (...types: string[]): AnyEventObject[] => types.flatMap((type) => [{ type }, { type, by: 2 }])

/** Shapes that the charts of the product do not have, or not all of them together. */
const madeUp: Record<string, Subject> = {
  'states within states, left and entered from several depths': {
    machine: kit.createMachine({
      context: { count: 0 },
      initial: 'a',
      on: { home: '.a', inner: { target: '.b.two.left', actions: 'add' } },
      states: {
        a: { on: { go: 'b', jump: '#deep' } },
        b: {
          id: 'b',
          initial: 'one',
          on: {
            go: [
              { guard: 'isEven', target: 'a' },
              { target: '.two', actions: 'add' },
            ],
            restart: 'b',
          },
          states: {
            one: { on: { go: { guard: 'isLow', target: 'two' }, self: 'one' } },
            two: {
              initial: 'left',
              states: { left: { on: { go: 'right' } }, right: { id: 'deep', on: { up: '#b', go: '#b' } } },
            },
          },
        },
      },
    }),
    events: events('go', 'home', 'inner', 'jump', 'restart', 'self', 'up'),
  },
  'regions that look at one another, eventless transitions on data, guards in guards': {
    machine: kit.createMachine({
      type: 'parallel',
      context: { count: 0 },
      on: { both: { actions: 'reset' } },
      states: {
        one: {
          initial: 'a',
          states: {
            a: { on: { go: { guard: or(['isInB', not(and(['isEven', stateIn({ two: 'x' })]))]), target: 'b' } } },
            b: { id: 'b', on: { go: 'a', add: { actions: 'add' } } },
          },
        },
        two: {
          initial: 'x',
          states: {
            x: {
              always: { guard: and(['isInB', { type: 'isBelow', params: { limit: 2 } }]), target: 'y', actions: 'add' },
              on: {
                go: { guard: { type: 'isBelow', params: ({ event }) => ({ limit: event.by ?? 5 }) }, target: 'y' },
              },
            },
            y: {
              always: [
                { guard: { type: 'isBelow', params: { limit: 1 } }, target: 'x' },
                { guard: not('isInB'), target: 'z', actions: 'add' },
              ],
              on: { go: { guard: 'isLow', target: 'x', actions: 'add' } },
            },
            z: { on: { go: 'x', add: { actions: 'reset' } } },
          },
        },
      },
    }),
    events: events('go', 'add', 'both'),
  },
  'regions of which one leaves the other, and one that ends': {
    machine: kit.createMachine({
      context: { count: 0 },
      initial: 'work',
      states: {
        work: {
          type: 'parallel',
          on: { leave: 'rest' },
          onDone: { target: 'rest', actions: 'add' },
          states: {
            left: { initial: 'a', states: { a: { on: { go: 'b', leave: { actions: 'add' } } }, b: { type: 'final' } } },
            right: {
              initial: 'a',
              states: { a: { on: { go: 'b', cross: '#rest' } }, b: { on: { end: 'c' } }, c: { type: 'final' } },
            },
          },
        },
        rest: { id: 'rest', on: { go: 'work' } },
      },
    }),
    events: events('go', 'leave', 'cross', 'end'),
  },
  'regions of which one leaves the other, or both at once': {
    machine: kit.createMachine({
      context: { count: 0 },
      initial: 'work',
      states: {
        work: {
          type: 'parallel',
          on: { leave: 'rest' },
          states: {
            left: {
              initial: 'a',
              states: {
                a: { on: { go: 'b', leave: { actions: 'add' }, cross: { target: 'b', actions: 'add' } } },
                b: { on: { go: 'a', cross: '#other', shift: { target: '#other', actions: 'add' } } },
              },
            },
            right: {
              initial: 'a',
              states: {
                a: { on: { go: 'b', cross: { target: '#rest', actions: 'add' } } },
                b: { id: 'other', on: { shift: { target: 'a', actions: 'add' }, cross: 'a' } },
              },
            },
          },
        },
        rest: { id: 'rest', on: { go: 'work' } },
      },
    }),
    events: events('go', 'leave', 'cross', 'shift'),
  },
  'guards that break, names that stand for others, wildcards': {
    machine: kit.createMachine({
      context: { count: 0 },
      initial: 'a',
      on: { '*': { actions: 'add' }, 'job.*': [{ guard: 'breaks', target: '.b' }, { actions: 'add' }] },
      states: {
        a: { on: { 'job.start': { guard: 'isLow', target: 'b' }, hush: {} } },
        b: { id: 'b', on: { 'job.end': { guard: 'isInB', target: 'a' }, '*': { guard: 'isEven', actions: 'reset' } } },
      },
    }),
    events: events('job.start', 'job.end', 'job.x', 'hush', 'other'),
  },
  'what a table cannot hold: entry, exit, raised events, re-entry, two targets': {
    machine: kit.createMachine({
      context: { count: 0 },
      initial: 'a',
      states: {
        a: {
          entry: 'add',
          on: { go: { target: 'b', actions: raise({ type: 'on' }) }, split: { target: ['p.l.y', 'p.r.y'] } },
        },
        b: { exit: 'add', on: { on: { target: 'b', reenter: true, guard: 'isEven' }, go: 'a', split: 'p' } },
        p: {
          type: 'parallel',
          states: {
            l: { initial: 'x', states: { x: { on: { go: 'y' } }, y: {} } },
            r: { initial: 'x', states: { x: {}, y: {} }, on: { back: '.x' } },
          },
          on: { go: '#(machine).a' },
        },
      },
    }),
    events: events('go', 'on', 'split', 'back'),
  },
}

describe('a chart table answers as XState does, for the chart', () => {
  it.each(Object.entries({ ...product, ...madeUp }))('%s', { timeout: 600_000 }, (_, subject) => {
    expect(compare(subject)).toBeGreaterThan(eventsPerChart / 2)
  })
})

describe('a refusal', () => {
  const table = new ChartTable(
    kit.createMachine({
      context: { count: 0 },
      initial: 'a',
      states: {
        a: {
          on: {
            all: { guard: and(['isEven', { type: 'isBelow', params: { limit: 5 } }, 'isInB']), target: 'b' },
            any: { guard: or(['isInB', { type: 'isBelow', params: { limit: 0 } }]), target: 'b' },
            none: { guard: not('isEven'), target: 'b' },
            low: { guard: 'isLow', target: 'b' },
            several: [
              { guard: 'isInB', target: 'b' },
              { guard: { type: 'isBelow', params: { limit: 0 } }, target: 'b' },
            ],
            forbidden: { guard: 'isEven', meta: { why: 'even' } },
          },
        },
        b: { id: 'b' },
      },
    }),
  )
  const at = (count: number, value: 'a' | 'b' = 'a') => ({ value, context: { count } })

  it.each([
    ['all', 1, 'isEven'],
    ['all', 6, 'isBelow'],
    ['all', 2, 'isInB'],
    ['any', 2, 'or(isInB, isBelow)'],
    ['none', 2, 'not(isEven)'],
    ['low', 2, 'not(isEven)'],
    ['several', 2, 'isInB'],
    ['unheard_of', 2, undefined],
  ])('of %s with %s names the guard %s', (type, count, guard) => {
    expect(table.select(at(count), { type })).toMatchObject({ isTaken: false, steps: [], guard })
  })

  it('that is a transition without effect carries its meta', () => {
    expect(table.select(at(2), { type: 'forbidden' })).toMatchObject({
      isTaken: false,
      guard: 'isEven',
      meta: { why: 'even' },
    })
    expect(table.select(at(3), { type: 'forbidden' })).toMatchObject({
      isTaken: false,
      guard: 'isEven',
      meta: undefined,
    })
  })

  it('is the answer to everything in states that the chart does not have', () => {
    expect(table.select({ value: 'elsewhere' as 'a', context: { count: 0 } }, { type: 'none' }).isTaken).toBe(false)
    expect(table.isReachable('elsewhere' as 'a')).toBe(false)
  })
})

describe('what states alone tell', () => {
  const chart = kit.createMachine({
    context: { count: 0 },
    type: 'parallel',
    states: {
      one: {
        initial: 'a',
        states: {
          a: { on: { go: { guard: 'isEven', target: 'b' } } },
          b: { tags: 'late', on: { go: { guard: 'isEven', target: 'c' } } },
          c: {},
          never: { on: { go: 'a' } },
        },
      },
      two: {
        initial: 'x',
        states: {
          x: { on: { go: { guard: not('isEven'), target: 'y' } } },
          y: { always: { guard: stateIn({ one: 'b' }), target: 'z' } },
          z: {},
        },
      },
    },
  })
  const table = new ChartTable(chart)
  const all = ['a', 'b', 'c', 'never'].flatMap((one) => ['x', 'y', 'z'].map((two) => ({ one, two }) as never))

  it('is what can be reached, one guard answering alike in every region', () => {
    // From a and x an event leads to b or to y, never to both; y beside b is left at once.
    expect(all.filter((value) => table.isReachable(value))).toEqual([
      { one: 'a', two: 'x' },
      { one: 'a', two: 'y' },
      { one: 'b', two: 'x' },
      { one: 'b', two: 'z' },
      { one: 'c', two: 'x' },
      { one: 'c', two: 'y' },
      { one: 'c', two: 'z' },
    ])
  })

  it('is whether some data would let an event through', () => {
    expect(all.filter((value) => table.isPossible(value, 'go'))).toHaveLength(10)
    expect(table.isPossible({ one: 'c', two: 'z' } as never, 'go')).toBe(false)
  })

  it('is which tags they have', () => {
    expect(all.filter((value) => table.hasTag(value, 'late'))).toEqual([
      { one: 'b', two: 'x' },
      { one: 'b', two: 'y' },
      { one: 'b', two: 'z' },
    ])
  })
})
