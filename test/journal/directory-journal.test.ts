import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'journal-'))
})
afterEach(() => rm(directory, { recursive: true }))

it('gives back after a restart what was appended, in order and numbered from 1', async () => {
  const store = createDirectoryJournal({ directory: join(directory, 'j') })
  const first = await store.open()
  await Promise.all([first.journal.append([{ a: 1 }, 'zwei ✓']), first.journal.append([3])])
  expect(first.journal.nextSequence).toBe(4)
  await first.journal.close()
  const second = await store.open()
  expect([...second.recovery.records]).toEqual([
    { sequence: 1, record: { a: 1 } },
    { sequence: 2, record: 'zwei ✓' },
    { sequence: 3, record: 3 },
  ])
  await second.journal.append([4])
  await second.journal.compact({ through: 3, rows: ['row'] })
  expect(second.journal.tailLength).toBe(1)
  await second.journal.close()
  const third = await store.open()
  expect(third.recovery.snapshot?.through).toBe(3)
  expect([...(third.recovery.snapshot?.rows ?? [])]).toEqual(['row'])
  expect([...third.recovery.records]).toEqual([{ sequence: 4, record: 4 }])
  await expect(store.open()).rejects.toMatchObject({ code: 'journal_locked' })
  await third.journal.close()
})
