import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkOperationsModel } from '../../src/testing/operations-model.js'

const isLong = process.env['STATEWARD_LONG'] === '1'

describe('the operations registry', () => {
  it(
    'agrees with the oracle after every step of every history, and keeps I1 to I12',
    async () => {
      const search = isLong ? { numRuns: 20_000, maxSteps: 200 } : { numRuns: 150 }
      await expect(checkOperationsModel(fc, search)).resolves.toBeUndefined()
    },
    isLong ? 3_600_000 : 60_000,
  )
})
