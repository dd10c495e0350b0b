import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/base/json.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { Lane } from '../../src/lane/lane.js'
import { EventStream } from '../../src/state/stream.js'
import { open as openLane } from '../lane/support/fixture.js'
import { balancesOf, createBank, type BankCommand } from './support/bank.js'

const openAccount = (accountId: string, balance = 0): BankCommand => ({ type: 'open', accountId, balance, notes: {} })
const move = (from: string, to: string, amount: number): BankCommand => ({ type: 'move', from, to, amount })

async function openBank(store = createMemoryJournal()) {
  const bank = createBank()
  const lane = await Lane.open({ store, streamFor: (name) => (name === 'bank' ? bank.stream : undefined) })
  bank.stream.start(lane)
  const submit = (...commands: readonly BankCommand[]) =>
    bank.stream.transact((batch) => commands.map((command) => batch.take(command)))
  return { ...bank, lane, store, submit }
}

describe('a batch', () => {
  it('is decided on everything under way and becomes visible when it is durable', async () => {
    const { lane, journal } = await openLane()
    const { tables, stream } = createBank()
    stream.start(lane)
    const opened = stream.transact((batch) => [batch.take(openAccount('a', 5)), batch.take(openAccount('b'))])
    const moved = stream.transact((batch) => batch.take(move('a', 'b', 3)))
    expect(balancesOf(tables)).toEqual({})
    expect([tables.sequence.committed, tables.sequence.latest]).toEqual([0, 3])
    await journal.sync(1)
    expect(balancesOf(tables)).toEqual({ a: 5, b: 0 })
    await journal.sync()
    expect(balancesOf(tables)).toEqual({ a: 2, b: 3 })
    expect(await opened).toEqual([
      { sequence: 1, applied: { opened: 'a' } },
      { sequence: 2, applied: { opened: 'b' } },
    ])
    expect(await moved).toEqual({ sequence: 3, applied: { left: 2 } })
  })

  it('is written in the names of the wire, with the keys of users as they are', async () => {
    const { lane, journal } = await openLane()
    const { stream } = createBank()
    stream.start(lane)
    const notes = { camelCase: 'of a user' }
    void stream.transact((batch) => {
      batch.take({ type: 'open', accountId: 'a', balance: 1, notes })
      batch.take(openAccount('b'))
      batch.take(move('a', 'b', 1))
    })
    expect(journal.underWay).toEqual([
      [
        ['bank', { type: 'account_opened', version: 1, sequence: 1, account_id: 'a', balance: 1, notes }],
        ['bank', { type: 'account_opened', version: 1, sequence: 2, account_id: 'b', balance: 0, notes: {} }],
        ['bank', { type: 'money_moved', version: 2, sequence: 3, from_account_id: 'a', to_account_id: 'b', amount: 1 }],
      ],
    ])
  })

  it('is refused whole, and takes no number', async () => {
    const { submit, tables } = await openBank()
    await submit(openAccount('a', 1))
    await expect(submit(openAccount('b'), move('a', 'b', 2))).rejects.toMatchObject({ code: 'overdrawn' })
    expect(balancesOf(tables)).toEqual({ a: 1 })
    expect([tables.sequence.committed, tables.sequence.latest]).toEqual([1, 1])
    await submit(openAccount('c'))
    expect(tables.sequence.committed).toBe(2)
  })

  it('is lost when one of its events cannot be applied, whatever its builder makes of that', async () => {
    const { stream, submit, tables } = await openBank()
    await submit(openAccount('a', 1))
    const swallowed = stream.transact((batch) => {
      batch.take(openAccount('b'))
      try {
        batch.take({ type: 'move_blindly', from: 'a', to: 'nobody', amount: 1 })
      } catch {
        return 'never mind'
      }
      return 'fine'
    })
    await expect(swallowed).rejects.toMatchObject({ code: 'no_account' })
    expect(balancesOf(tables)).toEqual({ a: 1 })
    expect(tables.sequence.latest).toBe(1)
  })

  it('takes commands only until its builder returns', async () => {
    const { stream } = await openBank()
    const kept = await stream.transact((batch) => {
      batch.take(openAccount('a'))
      return batch
    })
    expect(() => kept.take(openAccount('b'))).toThrow(expect.objectContaining({ code: 'batch_closed' }))
  })

  it('of nothing waits for what its answer leaned on, and writes nothing', async () => {
    const { lane, journal } = await openLane()
    const { stream, latest } = createBank()
    stream.start(lane)
    const opened = stream.transact((batch) => batch.take(openAccount('a', 7)))
    const read = stream.transact(() => latest.account('a')?.balance)
    await journal.fail('journal_not_appended')
    await expect(read).rejects.toMatchObject({ code: 'lane_not_appended' })
    await expect(opened).rejects.toMatchObject({ code: 'lane_not_appended' })
  })

  it('can say which number it must get', async () => {
    const { stream } = await openBank()
    const take = () => stream.transact((batch) => batch.take(openAccount('a')), { expectedSequence: 2 })
    await expect(take()).rejects.toMatchObject({ code: 'non_monotonic_sequence', data: { expected: 1, provided: 2 } })
  })

  it('gets no number beyond the last safe integer', async () => {
    const { submit, tables } = await openBank()
    tables.sequence.restore(Number.MAX_SAFE_INTEGER - 1)
    await submit(openAccount('a'))
    await expect(submit(openAccount('b'))).rejects.toMatchObject({ code: 'sequence_overflow' })
    expect(tables.sequence.latest).toBe(Number.MAX_SAFE_INTEGER)
  })

  it('is refused before its stream has a lane', async () => {
    const { stream } = createBank()
    await expect(stream.transact(() => 1)).rejects.toMatchObject({ code: 'stream_not_started' })
  })

  it('counts at once when it may be deferred, and still reports nothing that was taken back', async () => {
    const { lane, journal } = await openLane()
    const { stream, tables } = createBank()
    stream.start(lane)
    const taken = stream.transact((batch) => batch.take(openAccount('a')).sequence, { durability: 'deferred' })
    expect(await taken).toBe(1)
    expect(balancesOf(tables)).toEqual({})
    await journal.fail('journal_not_appended')
    expect(tables.sequence.latest).toBe(0)
  })
})

describe('listeners', () => {
  it('are told once per batch, after it is visible; one that throws hinders nobody', async () => {
    const { stream, submit, tables } = await openBank()
    const seen: unknown[] = []
    stream.onCommit(() => {
      throw new Error('observer')
    })
    const second = stream.onCommit((events) => seen.push([events.map(({ type }) => type), balancesOf(tables)]))
    await submit(openAccount('a', 2), openAccount('b'))
    second[Symbol.dispose]()
    await submit(move('a', 'b', 1))
    expect(seen).toEqual([[['account_opened', 'account_opened'], { a: 2, b: 0 }]])
  })
})

it('tells what its room makes of a commit, once for all listeners', async () => {
  const { tables, latest, catalogue } = createBank()
  const made: number[] = []
  const stream = new EventStream({
    name: 'bank',
    catalogue,
    tables,
    latest,
    commitOf: (events) => {
      // The commit shows already.
      made.push(Object.keys(balancesOf(tables)).length)
      return `events ${events.map(({ sequence }) => sequence).join(', ')}`
    },
  })
  stream.start(await Lane.open({ streamFor: () => undefined }))
  const told: string[] = []
  stream.onCommit((commit) => told.push(commit))
  stream.onCommit((commit) => told.push(commit.toUpperCase()))
  await stream.transact((batch) => [batch.take(openAccount('a')), batch.take(openAccount('b'))])
  expect([made, told]).toEqual([[2], ['events 1, 2', 'EVENTS 1, 2']])
})

it('tells of a change made by a listener after the one it was told of, to all', async () => {
  const { stream, submit } = await openBank()
  const told: string[][] = []
  stream.onCommit((events) => {
    if (events[0]?.sequence === 1) void submit(openAccount('b'))
  })
  stream.onCommit((events) => told.push(events.map(({ sequence }) => `event ${sequence}`)))
  await submit(openAccount('a'))
  await expect.poll(() => told).toEqual([['event 1'], ['event 2']])
})

it('gives out rows and events that nobody can change', async () => {
  const { stream, submit, tables } = await openBank()
  const seen: unknown[] = []
  stream.onCommit((events) => seen.push(events, ...events))
  await submit({ type: 'open', accountId: 'a', balance: 1, notes: { key: 'value' } })
  const row = tables.accounts.get('a')
  expect([row, row?.notes, ...seen].map((value) => Object.isFrozen(value))).toEqual([true, true, true, true])
})

describe('commands from outside', () => {
  const { catalogue } = createBank()

  it.each([
    [null, 'type'],
    [{ type: 'rob' }, 'type'],
    [{ type: 'open', accountId: 'a', balance: 0 }, 'notes'],
    [{ type: 'open', accountId: 'a', balance: 0, notes: {}, extra: 1 }, 'extra'],
    [{ type: 'move', from: 'a', to: 'b', amount: 0.5 }, 'amount'],
  ])('%j is refused naming %s', (input, field) => {
    expect(() => catalogue.parse(input)).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field }) }),
    )
  })

  it('are checked by these rules alone where their shape is known', () => {
    expect(() => catalogue.check(openAccount(''))).toThrow(expect.objectContaining({ code: 'empty_account' }))
    expect(() => catalogue.check(openAccount('a', Number.NaN))).not.toThrow()
  })

  it('are held to the rules of their values', () => {
    expect(() => catalogue.parse(openAccount(''))).toThrow(expect.objectContaining({ code: 'empty_account' }))
  })
})

describe('recovery', () => {
  const opened = (sequence: number, accountId: string): JsonObject => ({
    type: 'account_opened',
    version: 1,
    sequence,
    account_id: accountId,
    balance: 0,
    notes: {},
  })

  it.each([
    ['a gap', [opened(1, 'a'), opened(3, 'b')], 'replay_sequence'],
    ['a repeated event', [opened(1, 'a'), opened(1, 'b')], 'replay_sequence'],
    ['a first event that is none', [opened(2, 'a')], 'replay_sequence'],
    ['an unknown event', [{ ...opened(1, 'a'), type: 'robbed' }], 'invalid_input'],
    ['an unknown field', [{ ...opened(1, 'a'), colour: 'red' }], 'invalid_input'],
    ['a field in the spelling of the code', [{ ...opened(1, 'a'), accountId: 'a' }], 'invalid_input'],
    ['another version', [{ ...opened(1, 'a'), version: 2 }], 'invalid_input'],
    ['no version', [{ ...opened(1, 'a'), version: undefined }], 'invalid_input'],
  ])('refuses %s', (_, records, code) => {
    const { stream } = createBank()
    const replay = () => records.forEach((record) => stream.replay(record))
    expect(replay).toThrow(expect.objectContaining({ code }))
  })

  const header: JsonObject = { row: 'header', version: 1, sequence: 3, counts: { account: 1 } }
  const row: JsonObject = { row: 'account', version: 1, account_id: 'a', balance: 1, notes: {} }
  const end: JsonObject = { row: 'end' }

  it.each([
    ['no header', [row, end], 'snapshot_incomplete'],
    ['two headers', [header, header], 'snapshot_incomplete'],
    ['a row behind the end', [header, row, end, row], 'snapshot_incomplete'],
    ['no end', [header, row], 'snapshot_incomplete'],
    ['a row too few', [header, end], 'snapshot_row_count'],
    ['a row too many', [header, row, { ...row, account_id: 'b' }, end], 'snapshot_row_count'],
    ['another format', [{ ...header, version: 2 }], 'snapshot_version'],
    ['another version of a row', [header, { ...row, version: 2 }], 'invalid_input'],
    ['an unknown row', [header, { ...row, row: 'safe' }], 'invalid_input'],
    ['an unknown field', [header, { ...row, colour: 'red' }], 'invalid_input'],
  ])('refuses a snapshot with %s', async (_, rows, code) => {
    const { lane } = await openLane()
    const { stream } = createBank()
    const restore = () => {
      for (const stored of rows) stream.restore(stored)
      stream.start(lane)
    }
    expect(restore).toThrow(expect.objectContaining({ code }))
  })

  it('goes on behind a snapshot', async () => {
    const { stream, tables } = createBank()
    for (const stored of [header, row, end]) stream.restore(stored)
    stream.replay(opened(4, 'b'))
    expect(balancesOf(tables)).toEqual({ a: 1, b: 0 })
    expect(tables.sequence.committed).toBe(4)
    expect(() => stream.restore(row)).toThrow(expect.objectContaining({ code: 'snapshot_incomplete' }))
  })
})

describe('replay equals live', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd')
  const command: fc.Arbitrary<BankCommand> = fc.oneof(
    fc.record({ type: fc.constant('open' as const), accountId: name, balance: fc.nat(9), notes: fc.constant({}) }),
    fc.record({ type: fc.constant('move' as const), from: name, to: name, amount: fc.integer({ min: 1, max: 5 }) }),
  )
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.array(command, { minLength: 1, maxLength: 4 }) },
    { weight: 1, arbitrary: fc.constant('compact' as const) },
    { weight: 1, arbitrary: fc.constant('refuse the write' as const) },
    { weight: 1, arbitrary: fc.constant('restart' as const) },
  )

  it('at every prefix, whatever is refused, fails or is compacted in between', async () => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const store = createMemoryJournal()
      let bank = await openBank(store)
      for (const next of steps) {
        if (next === 'compact') await bank.lane.compact()
        else if (next === 'refuse the write') store.failNext('write')
        else if (next === 'restart') {
          await bank.lane.close()
          bank = await openBank(store)
        } else await bank.submit(...next).catch(() => {})
        const live = { balances: balancesOf(bank.tables), sequence: bank.tables.sequence.committed }
        await bank.lane.close()
        bank = await openBank(store)
        const replayed = { balances: balancesOf(bank.tables), sequence: bank.tables.sequence.committed }
        expect(replayed).toEqual(live)
        expect(bank.tables.sequence.latest).toBe(live.sequence)
        for (const balance of Object.values(live.balances)) expect(balance).toBeGreaterThanOrEqual(0)
      }
      await bank.lane.close()
    })
    await fc.assert(property, { numRuns: 60 })
  })
})
