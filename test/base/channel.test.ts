import { expect, it } from 'vitest'
import { Channel } from '../../src/base/channel.js'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { SimulatedClock } from '../../src/testing/index.js'

function channelOf(capacity: number) {
  let told = 0
  const channel = new Channel<string>({ capacity, onItem: () => (told += 1) })
  return { channel, told: () => told }
}

function takeAll(channel: Channel<string>): string[] {
  const taken: string[] = []
  for (let item = channel.take(); item !== undefined; item = channel.take()) taken.push(item)
  return taken
}

it('hands over in the order of arrival, and says so for each item', () => {
  const { channel, told } = channelOf(3)
  expect([channel.trySend('a'), channel.trySend('b'), channel.trySend('c'), channel.trySend('d')]).toEqual([
    'sent',
    'sent',
    'sent',
    'full',
  ])
  expect(told()).toBe(3)
  expect(takeAll(channel)).toEqual(['a', 'b', 'c'])
})

it('lets those who wait in by their order, and nobody overtakes them', async () => {
  const { channel } = channelOf(1)
  channel.trySend('a')
  const second = channel.send('b')
  const third = channel.send('c')
  expect(channel.waiting).toBe(2)
  expect(channel.take()).toBe('a')
  // There is room for nobody: what was free is taken by the one who waited.
  expect(channel.trySend('d')).toBe('full')
  expect(channel.take()).toBe('b')
  expect(channel.take()).toBe('c')
  expect(channel.trySend('d')).toBe('sent')
  expect(await Promise.all([second, third])).toEqual(['sent', 'sent'])
})

it('gives up after the time it was given, and leaves its place and no timer behind', async () => {
  const clock = new SimulatedClock()
  const deadlines = new DeadlineQueue(clock)
  const { channel } = channelOf(1)
  channel.trySend('a')
  const late = channel.sendWithin('b', 50, deadlines)
  const patient = channel.sendWithin('c', 500, deadlines)
  clock.advance(50)
  expect(await late).toBe('full')
  channel.take()
  expect(await patient).toBe('sent')
  expect(takeAll(channel)).toEqual(['c'])
  expect(clock.pendingTimeouts).toBe(0)
})

it('tells everybody that it is closed, and still hands over what it has', async () => {
  const { channel } = channelOf(1)
  channel.trySend('a')
  const waiting = channel.send('b')
  channel.close()
  expect(await waiting).toBe('closed')
  expect(channel.trySend('c')).toBe('closed')
  expect(takeAll(channel)).toEqual(['a'])
})
