import { describe, it } from 'vitest'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { journalConformance } from '../../src/testing/journal-conformance.js'
import { temporaryDirectory } from './support/directory.js'

journalConformance({ describe, it }, 'memory', async () => ({ store: createMemoryJournal() }))

journalConformance({ describe, it }, 'directory', async () => ({
  store: createDirectoryJournal({ directory: await temporaryDirectory() }),
}))
