import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { adjacencyMapToArray, getAdjacencyMap } from 'xstate/graph'
import {
  daemonSupervisionMachine,
  initialSupervision,
  supervisionChart,
  type SupervisionMove,
  type SupervisionPlace,
} from '../../machines/daemon-supervision.js'
import type { CrashBackoff } from '../../machines/node-vocabulary.js'

const minute = 60_000

const backoff: CrashBackoff = {
  initialMs: 500,
  factor: 2,
  maxMs: minute,
  crashLoopThreshold: 5,
  crashLoopWindowMs: minute,
  crashLoopCooldownMs: 5 * minute,
  stableRunMs: minute,
}

const lifecycles = ['stopped', 'starting', 'running', 'stopping'] as const
const gates = ['idle', 'backing_off', 'crash_looping'] as const

const crash = (at: number): SupervisionMove => ({ type: 'crashed', at, backoff })
const started = (at: number): SupervisionMove => ({ type: 'started', at, backoff })
const exited = (at: number): SupervisionMove => ({ type: 'exited_cleanly', at, backoff })
const start = (at: number): SupervisionMove => ({ type: 'start', at, answerBy: at + 10 })
const stop = (at: number): SupervisionMove => ({ type: 'stop', deadline: at + 30, answerBy: at + 45 })
const tick = (at: number): SupervisionMove => ({ type: 'tick', at })

function after(...moves: readonly SupervisionMove[]): SupervisionPlace {
  return moves.reduce((place, move) => supervisionChart.move(place, move) ?? place, initialSupervision)
}

const gateOf = ({ value, context }: SupervisionPlace) => [value.gate, context.gateUntil]

describe('crashes', () => {
  it('close the gate for longer each time, and for long when they are a loop (N-66)', () => {
    expect(gateOf(after())).toEqual(['idle', undefined])
    expect(gateOf(after(crash(0)))).toEqual(['backing_off', 500])
    const four = [0, 1000, 2000, 3000].map(crash)
    expect(gateOf(after(...four.slice(0, 2)))).toEqual(['backing_off', 1000 + 1000])
    expect(gateOf(after(...four))).toEqual(['backing_off', 3000 + 4000])
    expect(gateOf(after(...four, crash(4000)))).toEqual(['crash_looping', 4000 + 5 * minute])
    expect(gateOf(after(...four, crash(4000), crash(4000 + 6 * minute)))).toEqual([
      'backing_off',
      4000 + 6 * minute + 500,
    ])
  })

  it('count for a minute and no longer, and put off the next start by a minute at most (N-66)', () => {
    expect(gateOf(after(...[0, 1, 2, 3, minute].map(crash)))).toEqual(['crash_looping', 6 * minute])
    expect(gateOf(after(...[0, 1, 2, 3, minute + 1].map(crash)))).toEqual(['backing_off', minute + 1 + 8000])
    const apart = Array.from({ length: 9 }, (_, index) => crash(index * 2 * minute))
    expect(gateOf(after(...apart))).toEqual(['backing_off', 16 * minute + minute])
  })

  it('are forgotten after a stable run, and only then (N-67)', () => {
    const begun = [crash(0), crash(1), started(2)]
    expect(gateOf(after(...begun, crash(2 + minute)))).toEqual(['backing_off', 2 + minute + 2000])
    expect(gateOf(after(...begun, started(2 + minute), crash(3 + minute)))).toEqual(['backing_off', 503 + minute])
    expect(gateOf(after(...begun, started(1 + minute), crash(3 + minute)))).toEqual(['backing_off', 2003 + minute])
    expect(gateOf(after(...begun, exited(2 + minute), crash(3 + minute)))).toEqual(['backing_off', 503 + minute])
    expect(gateOf(after(...begun, exited(1 + minute), crash(3 + minute)))).toEqual(['backing_off', 2003 + minute])
  })

  it('open the gate at its instant, or when an operator does (N-67)', () => {
    for (const place of [after(crash(0)), after(...[0, 0, 0, 0, 0].map(crash))]) {
      const until = place.context.gateUntil as number
      expect(supervisionChart.select(place, start(until - 1)).guard).toBe('isGateOpen')
      expect(supervisionChart.select(place, start(until)).isTaken).toBe(true)
      expect(supervisionChart.move(place, tick(until - 1))).toBeUndefined()
      expect(supervisionChart.move(place, tick(until))?.value.gate).toBe('idle')
      const released = supervisionChart.move(place, { type: 'force_release' })
      expect(released?.value.gate).toBe('idle')
      expect(released?.context).toMatchObject({ crashes: [], nextDelayMs: undefined, gateUntil: undefined })
    }
  })

  it('of an earlier life keep the gate closed (N-105)', () => {
    expect(gateOf(after({ type: 'restore_gate', until: 9, isCrashLooping: true }))).toEqual(['crash_looping', 9])
    expect(gateOf(after({ type: 'restore_gate', until: 9, isCrashLooping: false }))).toEqual(['backing_off', 9])
    expect(gateOf(after(crash(0), { type: 'restore_gate', until: 9, isCrashLooping: true }))).toEqual([
      'backing_off',
      500,
    ])
  })
})

/** N-100 read as a table: where a move leads in the life cycle, written down independently of the chart. */
function expected(value: SupervisionPlace['value'], { type }: SupervisionMove, isOverdue: boolean): string | undefined {
  const { lifecycle, gate } = value
  switch (type) {
    case 'start':
      return lifecycle === 'stopped' && gate === 'idle' ? 'starting' : undefined
    case 'stop':
      return lifecycle === 'starting' || lifecycle === 'running' ? 'stopping' : undefined
    case 'started':
      return 'running'
    case 'exited_cleanly':
    case 'crashed':
      return 'stopped'
    case 'force_release':
      return lifecycle
    case 'restore_gate':
      return gate === 'idle' ? lifecycle : undefined
    case 'tick':
      if (!isOverdue) return undefined
      if (lifecycle === 'starting') return 'stopped'
      if (lifecycle === 'stopping') return 'running'
      return gate === 'idle' ? undefined : lifecycle
  }
}

describe('the life cycle of a daemon', () => {
  const moves: readonly SupervisionMove[] = [
    start(5),
    stop(5),
    started(5),
    exited(5),
    crash(5),
    { type: 'force_release' },
    { type: 'restore_gate', until: 9, isCrashLooping: false },
  ]

  it('allows what the page says, in every place and for every move (N-100)', () => {
    for (const lifecycle of lifecycles) {
      for (const gate of gates) {
        const place: SupervisionPlace = {
          value: { lifecycle, gate },
          context: {
            ...initialSupervision.context,
            gateUntil: gate === 'idle' ? undefined : 20,
            answerBy: lifecycle === 'starting' || lifecycle === 'stopping' ? 20 : undefined,
          },
        }
        for (const move of [...moves, tick(19), tick(20)]) {
          const next = supervisionChart.move(place, move)?.value.lifecycle
          const isOverdue = move.type === 'tick' && move.at >= 20
          expect({ place, move, next }).toEqual({ place, move, next: expected(place.value, move, isOverdue) })
        }
      }
    }
  })

  it('keeps the deadline of the first stop until the daemon has ended or started (N-113)', () => {
    const again = after(started(0), stop(0), tick(45), stop(50))
    expect(again.value.lifecycle).toBe('stopping')
    expect(again.context).toMatchObject({ stopDeadline: 30, answerBy: 95 })
    expect(supervisionChart.move(again, exited(60))?.context).toMatchObject({
      stopDeadline: undefined,
      answerBy: undefined,
    })
  })

  it('is a chart that XState walks as the table does', () => {
    const events = [...moves, tick(100_000)]
    const map = getAdjacencyMap(daemonSupervisionMachine, {
      events,
      stopWhen: ({ context }) => context.crashes.length > 5,
      limit: 5000,
    })
    const steps = adjacencyMapToArray(map)
    expect(steps.length).toBeGreaterThan(100)
    for (const { state, event, nextState } of steps) {
      const next = supervisionChart.move(state, event)
      if (next === undefined) expect(nextState.value).toEqual(state.value)
      else expect(next).toEqual({ value: nextState.value, context: nextState.context })
    }
  })

  it('has an open gate or an instant at which it opens, and waits for an answer only where one may come', () => {
    const move = fc
      .nat(1000)
      .chain((at) =>
        fc.constantFrom<SupervisionMove>(
          start(at),
          stop(at),
          started(at),
          exited(at),
          crash(at),
          tick(at),
          { type: 'force_release' },
          { type: 'restore_gate', until: at, isCrashLooping: true },
        ),
      )
    fc.assert(
      fc.property(fc.array(move, { maxLength: 30 }), (all) => {
        const { value, context } = after(...all)
        expect(context.gateUntil === undefined).toBe(value.gate === 'idle')
        expect(context.answerBy !== undefined).toBe(value.lifecycle === 'starting' || value.lifecycle === 'stopping')
        expect(supervisionChart.isReachable(value)).toBe(true)
      }),
    )
  })
})
