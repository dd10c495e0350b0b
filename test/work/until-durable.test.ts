import { describe, expect, it } from 'vitest'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { StatewardError } from '../../src/base/errors.js'
import { silentLogger } from '../../src/base/logger.js'
import { LaneError } from '../../src/lane/errors.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { DurableEnd } from '../../src/work/until-durable.js'

const unwritten = () => new LaneError('lane_not_appended', { cause: 'disk full' })

function setUp(answers: readonly (Error | 'taken')[], mostRefusals?: number) {
  const clock = new SimulatedClock()
  const offers: [string, number, number][] = []
  const end = new DurableEnd('result', {
    deadlines: new DeadlineQueue(clock),
    logger: silentLogger,
    subject: { id: 'x' },
    offer: async (offered, refusals) => {
      offers.push([offered, refusals, clock.monotonicNow()])
      const answer = answers[offers.length - 1]
      if (answer instanceof Error) throw answer
    },
    insteadOf: (offered, refusal) => `${offered} refused: ${(refusal as Error).message}`,
    isFinal: (refusal) => StatewardError.is(refusal, 'already_ended'),
    ...(mostRefusals !== undefined && { mostRefusals }),
  })
  const settled = () => new Promise(setImmediate)
  return { clock, offers, end, settled }
}

describe('an end', () => {
  it('is durable when it is taken', async () => {
    const { end, offers, clock } = setUp(['taken'])
    expect(await end.settled).toEqual({ result: 'durable' })
    expect([offers, clock.pendingTimeouts]).toEqual([[['result', 0, 0]], 0])
  })

  it('is offered again, later and later, until the journal takes it', async () => {
    const { end, offers, clock, settled } = setUp([...Array.from({ length: 8 }, unwritten), 'taken'])
    for (let waited = 0; waited < 170; waited++) {
      await settled()
      clock.advance(100)
    }
    expect(await end.settled).toEqual({ result: 'durable' })
    const delays = offers.slice(1).map(([, , at], index) => at - (offers[index]?.[2] ?? 0))
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000])
  })

  it('that is refused is replaced by one that says so, twice at most', async () => {
    const tooOdd = new StatewardError('invalid_input', 'odd', {})
    const { end, offers } = setUp([tooOdd, tooOdd, tooOdd])
    expect(await end.settled).toEqual({ result: 'given_up', refusal: tooOdd })
    expect(offers.map(([offered, refusals]) => [offered, refusals])).toEqual([
      ['result', 0],
      ['result refused: odd', 1],
      ['result refused: odd refused: odd', 2],
    ])
  })

  it('is replaced as often as its owner says', async () => {
    const tooOdd = new StatewardError('invalid_input', 'odd', {})
    const { end, offers } = setUp([tooOdd, tooOdd, tooOdd, 'taken'], 3)
    expect([await end.settled, offers.length]).toEqual([{ result: 'durable' }, 4])
  })

  it('that is waiting is offered at once when its owner is in a hurry, and not a second time', async () => {
    const { end, offers, clock, settled } = setUp([unwritten(), 'taken'])
    await settled()
    end.hurry()
    expect(await end.settled).toEqual({ result: 'durable' })
    end.hurry()
    expect([offers.map(([, , at]) => at), clock.pendingTimeouts]).toEqual([[0, 0], 0])
  })

  it('that is too large is replaced at once, not offered again', async () => {
    const cause = new StatewardError('journal_record_too_large', 'too large', {})
    const tooLarge = new LaneError('lane_not_appended', { cause: 'too large' }, { cause })
    const { end, offers, clock } = setUp([tooLarge, 'taken'])
    expect(await end.settled).toEqual({ result: 'durable' })
    expect([offers.length, clock.pendingTimeouts]).toEqual([2, 0])
  })

  it.each(['already_ended', 'lane_closed'])('is given up after the final refusal %s', async (code) => {
    const refusal = new StatewardError(code, 'no', {})
    const { end, offers } = setUp([refusal])
    expect(await end.settled).toEqual({ result: 'given_up', refusal })
    expect(offers).toHaveLength(1)
  })

  it('that its owner drops leaves no timer behind', async () => {
    const { end, offers, clock, settled } = setUp([unwritten(), 'taken'])
    await settled()
    expect(clock.pendingTimeouts).toBe(1)
    end[Symbol.dispose]()
    clock.advance(60_000)
    expect(await end.settled).toEqual({ result: 'given_up' })
    expect([offers.length, clock.pendingTimeouts]).toEqual([1, 0])
  })
})
