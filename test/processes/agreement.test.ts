import { expect, it } from 'vitest'
import { expectAgreement, expectAgreementTogether } from './support/agreement.js'
import { journalFixture, memoryFixture } from './support/stores.js'

it.each([
  ['memory', memoryFixture],
  ['journal', () => journalFixture('records')],
  ['journal with snapshots', () => journalFixture('snapshot')],
] as const)('%s answers and holds what plain rules say, whatever is done to it (P-71)', async (_, createFixture) => {
  await expect(expectAgreement(createFixture, { numRuns: 150 })).resolves.toBeUndefined()
})

it('memory answers commands that come at the same time as if they came one by one (P-255)', async () => {
  await expect(expectAgreementTogether(async () => memoryFixture(), { numRuns: 100 })).resolves.toBeUndefined()
})
