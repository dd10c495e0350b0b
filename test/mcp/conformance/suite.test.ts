import { beforeAll, describe, expect, it } from 'vitest'
import { runScenarios, scenarios, type ScenarioReport } from '../support/conformance.js'

describe('the conformance suite of the protocol', () => {
  let reports: readonly ScenarioReport[] = []
  beforeAll(async () => {
    reports = await runScenarios()
  }, 300_000)

  it.each(scenarios)('passes %s', (scenario) => {
    const report = reports.find((one) => one.scenario === scenario)
    expect(report?.failed === 0 ? '' : report?.output).toBe('')
  })

  it('has as many checks as it had', () => {
    expect(reports.reduce((sum, { passed }) => sum + passed, 0)).toBeGreaterThanOrEqual(44)
  })
})
