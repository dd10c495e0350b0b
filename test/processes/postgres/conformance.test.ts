import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { processStoreConformance } from '../../../src/testing/process-store-conformance.js'
import { expectAgreement, expectAgreementTogether } from '../support/agreement.js'
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

it('PostgreSQL answers commands that come at the same time as if they came one by one (P-255)', async () => {
  await expect(expectAgreementTogether(() => fixtures.create(), { numRuns: 30 })).resolves.toBeUndefined()
}, 60_000)
