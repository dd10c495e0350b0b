import { beforeEach, describe, expect, it } from 'vitest'
import { eventOf, type ProcessEvent } from '../../src/processes/event.js'
import { BoundedQueueSink, SinkFeeder } from '../../src/processes/event-sink.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { settle } from './support/scripted-store.js'

const event = (sequence: number, processId = 'one'): ProcessEvent =>
  eventOf(processId, { sequence, eventType: 'a', payload: null, occurredAtMs: 0 })

describe('a sink that breaks [P-146]', () => {
  let clock: SimulatedClock
  let lines: string[]

  beforeEach(() => {
    clock = new SimulatedClock(0)
    lines = []
  })

  function feederOf(emit: (event: ProcessEvent) => void | Promise<void>): SinkFeeder {
    const log = (_: object, message: string): void => void lines.push(message)
    const logger = { debug: log, info: log, warn: log, error: log }
    return new SinkFeeder({ sink: { emit }, clock, logger, timeoutMs: 1000 })
  }

  it('is counted and logged, and harms nobody', async () => {
    const throwing = feederOf(() => {
      throw new Error('no')
    })
    await throwing.feed(event(1))
    expect(throwing.counts).toEqual({ emitted: 1, failed: 1, dropped: 0 })
    const rejecting = feederOf(() => Promise.reject(new Error('no')))
    await rejecting.feed(event(1))
    expect(rejecting.counts).toEqual({ emitted: 1, failed: 1, dropped: 0 })
    expect(lines).toEqual(['the event sink failed', 'the event sink failed'])
  })

  it('is left alone for a process while it answers too late, and served again after', async () => {
    const pending: (() => void)[] = []
    const seen: number[] = []
    const feeder = feederOf(({ sequence }) => {
      seen.push(sequence)
      return new Promise<void>((resolve) => pending.push(resolve))
    })
    const first = feeder.feed(event(1))
    await settle()
    clock.advance(1000)
    await first
    await feeder.feed(event(2))
    await feeder.feed(event(3))
    const other = feeder.feed(event(9, 'two'))
    pending[1]?.()
    await other
    expect(feeder.counts).toEqual({ emitted: 2, failed: 0, dropped: 2 })
    pending[0]?.()
    await settle()
    const fourth = feeder.feed(event(4))
    pending[2]?.()
    await fourth
    expect(seen).toEqual([1, 9, 4])
    expect(lines).toEqual(['the event sink is stalled, so events of the process are dropped'])
    expect(clock.pendingTimeouts).toBe(0)
  })
})

describe('BoundedQueueSink', () => {
  it('takes events at once and hands them on one after another', async () => {
    const seen: number[] = []
    let open!: () => void
    const gate = new Promise<void>((resolve) => (open = resolve))
    const sink = new BoundedQueueSink(async ({ sequence }) => {
      seen.push(sequence)
      await gate
    })
    for (const sequence of [1, 2, 3]) sink.emit(event(sequence))
    await settle()
    expect(seen).toEqual([1])
    open()
    await sink.flush()
    expect(seen).toEqual([1, 2, 3])
    await sink.flush()
  })

  it('drops the oldest beyond its capacity and counts them', async () => {
    const seen: number[] = []
    const sink = new BoundedQueueSink(({ sequence }) => void seen.push(sequence), { capacity: 2 })
    for (const sequence of [1, 2, 3, 4]) sink.emit(event(sequence))
    await sink.flush()
    expect([seen, sink.dropped, sink.size]).toEqual([[3, 4], 2, 0])
  })

  it('goes on after an event that fails, and says which', async () => {
    const failed: number[] = []
    const seen: number[] = []
    const sink = new BoundedQueueSink(
      ({ sequence }) => {
        if (sequence === 1) throw new Error('no')
        seen.push(sequence)
      },
      {
        onError: (_, { sequence }) => {
          failed.push(sequence)
          throw new Error('worse')
        },
      },
    )
    sink.emit(event(1))
    sink.emit(event(2))
    await sink.flush()
    expect([failed, seen]).toEqual([[1], [2]])
  })
})
