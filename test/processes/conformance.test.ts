import { describe, it } from 'vitest'
import { processStoreConformance } from '../../src/testing/process-store-conformance.js'
import { journalFixture, memoryFixture } from './support/stores.js'

processStoreConformance({ describe, it }, 'memory', memoryFixture)
processStoreConformance({ describe, it }, 'journal', () => journalFixture('records'))
processStoreConformance({ describe, it }, 'journal with snapshots', () => journalFixture('snapshot'))
