import { afterAll, beforeAll, describe, it } from 'vitest'
import { processStoreConformance } from '../../../src/testing/process-store-conformance.js'
import { PostgresFixtures } from '../support/postgres-fixture.js'

let fixtures: PostgresFixtures

beforeAll(async () => {
  fixtures = await PostgresFixtures.start()
})

afterAll(() => fixtures?.[Symbol.asyncDispose]())

processStoreConformance({ describe, it }, 'PostgreSQL', () => fixtures.create())
