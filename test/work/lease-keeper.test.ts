import { expect, it } from 'vitest'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { silentLogger } from '../../src/base/logger.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { LeaseKeeper, type KeptLease } from '../../src/work/lease-keeper.js'

function setUp() {
  const clock = new SimulatedClock()
  const renewals: string[][] = []
  const answers: (readonly string[] | Error)[] = []
  const lost: string[] = []
  const keeper = new LeaseKeeper<KeptLease>({
    deadlines: new DeadlineQueue(clock),
    logger: silentLogger,
    intervalMs: 20_000,
    renew: async (leases) => {
      renewals.push(leases.map(({ id }) => id))
      const answer = answers.shift() ?? []
      if (answer instanceof Error) throw answer
      return leases.filter(({ id }) => answer.includes(id))
    },
  })
  const keep = (id: string) => keeper.keep({ id, onLost: () => lost.push(id) })
  const pass = async (ms: number) => {
    clock.advance(ms)
    await new Promise(setImmediate)
  }
  return { clock, keeper, keep, renewals, answers, lost, pass }
}

it('renews every lease together, within its interval', async () => {
  const { keep, renewals, pass, clock } = setUp()
  keep('a')
  await pass(15_000)
  keep('b')
  await pass(5000)
  await pass(20_000)
  expect(renewals).toEqual([
    ['a', 'b'],
    ['a', 'b'],
  ])
  expect(clock.pendingTimeouts).toBe(1)
})

it('stops work whose lease was lost, once', async () => {
  const { keep, answers, lost, renewals, pass } = setUp()
  keep('a')
  keep('b')
  answers.push(['a'])
  await pass(20_000)
  await pass(20_000)
  expect([lost, renewals.at(-1)]).toEqual([['a'], ['b']])
})

it('tries again when renewing failed, which loses nothing', async () => {
  const { keep, answers, lost, renewals, pass } = setUp()
  keep('a')
  answers.push(new Error('disk full'))
  await pass(20_000)
  await pass(20_000)
  expect([lost, renewals]).toEqual([[], [['a'], ['a']]])
})

it('leaves no timer behind', async () => {
  const { keep, keeper, renewals, pass, clock } = setUp()
  const [a, b] = [keep('a'), keep('b')]
  a[Symbol.dispose]()
  expect(clock.pendingTimeouts).toBe(1)
  b[Symbol.dispose]()
  expect(clock.pendingTimeouts).toBe(0)
  keep('c')
  keeper[Symbol.dispose]()
  keep('d')
  await pass(60_000)
  expect([renewals, clock.pendingTimeouts]).toEqual([[], 0])
})

it('does not stop work that has given its lease back meanwhile', async () => {
  const { keep, answers, lost, pass } = setUp()
  const a = keep('a')
  answers.push(['a'])
  const passing = pass(20_000)
  a[Symbol.dispose]()
  await passing
  expect(lost).toEqual([])
})
