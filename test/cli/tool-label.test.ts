import { describe, expect, it } from 'vitest'
import type { PlannedTool } from '../../src/cli/plan.js'
import { definitionOf, labelOf, parseLabel } from '../../src/cli/tool-label.js'

const base: PlannedTool = {
  name: 'build.all',
  command: 'make',
  args: ['all'],
  cwd: '.',
  env: { A: '1', B: '2' },
  needs: [],
  after: 'success',
  retries: 0,
  retryDelayMs: 0,
  expect: { type: 'exit', exitCodes: [0] },
}

describe('the label of a tool', () => {
  it('can be read back', () => {
    expect(labelOf(base, 3)).toMatch(/^tool:build\.all#[0-9a-f]{16}@3$/)
    expect(parseLabel(labelOf(base, 3))).toEqual({ name: 'build.all', definition: definitionOf(base), attempt: 3 })
    expect(parseLabel('shell_job')).toBeUndefined()
  })

  it.each<Partial<PlannedTool>>([
    { command: 'gmake' },
    { args: [] },
    { cwd: 'sub' },
    { env: { A: '1' } },
    { timeoutMs: 5 },
    { expect: { type: 'exit', exitCodes: [0, 1] } },
    { expect: { type: 'timeout' } },
  ])('is another one with %j', (change) => {
    expect(definitionOf({ ...base, ...change })).not.toBe(definitionOf(base))
  })

  it.each<Partial<PlannedTool>>([
    { description: 'builds' },
    { needs: ['other'], after: 'always', if: 'yes', retries: 3, retryDelayMs: 5 },
    { progress: { pattern: /(?<message>.*)/u } },
    { env: { B: '2', A: '1' } },
  ])('is the same with %j', (change) => {
    expect(definitionOf({ ...base, ...change })).toBe(definitionOf(base))
  })
})
