import { expect, it } from 'vitest'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import { readDirectoryJournal } from '../../src/journal/reading.js'
import { Lane } from '../../src/lane/lane.js'
import { temporaryDirectory } from '../journal/support/directory.js'
import { createBank } from './support/bank.js'

const accounts = 10_000

async function openBank(directory: string) {
  const bank = createBank()
  const store = createDirectoryJournal({ directory })
  const lane = await Lane.open({ store, streamFor: (name) => (name === 'bank' ? bank.stream : undefined) })
  bank.stream.start(lane)
  return { ...bank, lane }
}

/** Accounts whose balance is not the 100 they began with. */
async function changedIn(directory: string): Promise<Record<string, unknown>> {
  await using reading = await readDirectoryJournal({ directory })
  const rows = [...(reading.recovery.snapshot?.rows ?? [])].map((row) => (row as [string, Record<string, unknown>])[1])
  expect(rows.filter(({ row }) => row === 'account')).toHaveLength(accounts)
  const changed = rows.filter(({ row, balance }) => row === 'account' && balance !== 100)
  return Object.fromEntries(changed.map(({ account_id: id, balance }) => [String(id), balance]))
}

it('a snapshot holds one instant, whatever is written while it is being written', async () => {
  const directory = await temporaryDirectory()
  const { lane, stream } = await openBank(directory)
  await stream.transact((batch) => {
    for (let number = 0; number < accounts; number += 1) {
      batch.take({ type: 'open', accountId: `${number}`, balance: 100, notes: {} })
    }
  })
  let moved = 0
  // One coin goes from account to account.
  const move = async (): Promise<void> => {
    const [from, to] = [moved, moved + 1]
    await stream.transact((batch) => batch.take({ type: 'move', from: `${from}`, to: `${to}`, amount: 1 }))
    moved += 1
  }
  for (let count = 0; count < 5; count += 1) await move()
  const writing = { isOver: false }
  const compaction = lane.compact().then(() => {
    writing.isOver = true
  })
  while (!writing.isOver) await move()
  await compaction
  expect(moved).toBeGreaterThan(5)
  expect(await changedIn(directory)).toEqual({ '0': 99, '5': 101 })
  await lane.close()

  const again = await openBank(directory)
  const changed = [...again.tables.accounts.rows()].filter(({ balance }) => balance !== 100)
  expect(changed.map(({ accountId, balance }) => [accountId, balance])).toEqual([
    ['0', 99],
    [`${moved}`, 101],
  ])
  await again.lane.close()
})
