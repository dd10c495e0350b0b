import { describe, expect, it } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { valuesOf } from './support/directory.js'

describe('the journal in memory', () => {
  it('keeps what had settled when it crashes, and drops what had not', async () => {
    const store = createMemoryJournal()
    const { journal } = await store.open()
    await journal.append(['settled'])
    const unsettled = journal.append(['unsettled'])
    store.crash()
    await expect(unsettled).rejects.toMatchObject({ code: 'journal_closed' })
    expect(await valuesOf(store)).toEqual(['settled'])
  })

  it('is of no use to its former owner after a crash', async () => {
    const store = createMemoryJournal()
    const { journal } = await store.open()
    store.crash()
    const { journal: successor } = await store.open()
    await expect(journal.append(['late'])).rejects.toMatchObject({ code: 'journal_closed' })
    await journal.close()
    await expect(store.open()).rejects.toMatchObject({ code: 'journal_locked' })
    await successor.close()
  })

  it('takes a refused write back', async () => {
    const store = createMemoryJournal()
    const { journal } = await store.open()
    store.failNext('write')
    await expect(journal.append(['refused'])).rejects.toMatchObject({ code: 'journal_not_appended' })
    await journal.append(['again'])
    await journal.close()
    expect(await valuesOf(store)).toEqual(['again'])
  })

  it('forgets records in doubt when it is reopened', async () => {
    const store = createMemoryJournal()
    const { journal } = await store.open()
    store.failNext('sync')
    await expect(journal.append(['doubtful'])).rejects.toMatchObject({ code: 'journal_durability_unknown' })
    expect(() => journal.append(['more'])).toThrow(expect.objectContaining({ code: 'journal_poisoned' }))
    await journal.reopen()
    await journal.append(['after'])
    await journal.close()
    expect(await valuesOf(store)).toEqual(['after'])
  })

  it('keeps records in doubt when it crashes before it is reopened', async () => {
    const store = createMemoryJournal()
    const { journal } = await store.open()
    store.failNext('sync')
    await expect(journal.append(['doubtful'])).rejects.toMatchObject({ code: 'journal_durability_unknown' })
    store.crash()
    expect(await valuesOf(store)).toEqual(['doubtful'])
  })
})
