import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { processStoreConformance } from '../../../src/testing/process-store-conformance.js'
import { expectAgreement } from '../support/agreement.js'
import { PostgresFixtures } from '../support/postgres-fixture.js'

let fixtures: PostgresFixtures

beforeAll(async () => {
  fixtures = await PostgresFixtures.start()
})

afterAll(() => fixtures?.[Symbol.asyncDispose]())

processStoreConformance({ describe, it }, 'PostgreSQL', () => fixtures.create())

it('PostgreSQL answers and holds what plain rules say, whatever is done to it (P-71)', async () => {
  await expect(expectAgreement(() => fixtures.create(), { numRuns: 20 })).resolves.toBeUndefined()
}, 60_000)
