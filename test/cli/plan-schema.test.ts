import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { parsePlan } from '../../src/cli/parse-plan.js'
import { maxTools } from '../../src/cli/plan.js'

const root = join(import.meta.dirname, '..', '..')
const schema = JSON.parse(readFileSync(join(root, 'plan.schema.json'), 'utf8')) as {
  readonly properties: object
  readonly $defs: { readonly tool: { readonly properties: object } }
}
const takes = new Ajv2020({ strict: true, strictRequired: false, strictTypes: false }).compile(schema)

function decodes(plan: unknown): boolean {
  try {
    parsePlan(JSON.stringify(plan), 'plan.json')
    return true
  } catch {
    return false
  }
}

/** The keys that a refusal of the decoder says are known. */
function knownKeys(plan: unknown): string[] {
  try {
    parsePlan(JSON.stringify(plan), 'plan.json')
  } catch (error) {
    return / known are (.*)$/i.exec((error as Error).message)?.[1]?.split(', ') ?? []
  }
  return []
}

const tool = { name: 'a', command: 'x' }
const plan = { name: 'p', tools: [tool] }
const withPlan = (fields: object): object => ({ ...plan, ...fields })
const withTool = (fields: object): object => ({
  ...plan,
  tools: [
    { ...tool, ...fields },
    { ...tool, name: 'b' },
  ],
})

describe('the schema of a plan', () => {
  it('knows the keys that the decoder knows', () => {
    expect(Object.keys(schema.properties)).toEqual(knownKeys({ ...plan, zzzzzz: 1 }))
    expect(Object.keys(schema.$defs.tool.properties)).toEqual(knownKeys(withTool({ zzzzzz: 1 })))
    expect(knownKeys(plan)).toEqual([])
  })

  const lengths = [0, 1, 64, 65, 256, 257, 1000, 1001, 4096, 4097, 32_768, 32_769]
  const numbers = [-1, 0, 0.5, 1, 20, 21, 64, 65, 255, 256, 2 ** 31 - 1, 2 ** 31]
  const oddities = [null, true, false, 'x', '', [], {}, ['x'], [1], { A: '1' }, { A: 1 }, { __proto_: '1' }, 'a\0b']
  const values: unknown[] = [...oddities, ...numbers, ...lengths.map((length) => 'x'.repeat(length))]
  const planKeys = ['$schema', 'name', 'concurrency', 'env', 'timeoutMs', 'tools']
  const toolKeys = 'name description command args cwd env after if timeoutMs retries retryDelayMs expect'.split(' ')

  it.each(planKeys)('judges values of %s as the decoder does', (key) => {
    for (const value of values) {
      const given = withPlan({ [key]: value })
      expect([key, value, takes(given)]).toEqual([key, value, decodes(given)])
    }
  })

  it.each(toolKeys)('judges values of %s of a tool as the decoder does', (key) => {
    for (const value of values) {
      const given = withTool({ [key]: value })
      expect([key, value, takes(given)]).toEqual([key, value, decodes(given)])
    }
  })

  it.each<[boolean, object]>([
    [true, plan],
    [false, []],
    [false, { name: 'p' }],
    [false, { ...plan, tools: [{ name: 'a' }] }],
    [true, { ...plan, tools: Array.from({ length: maxTools }, (_, index) => ({ ...tool, name: `t${index}` })) }],
    [false, { ...plan, tools: Array.from({ length: maxTools + 1 }, (_, index) => ({ ...tool, name: `t${index}` })) }],
    [true, withTool({ needs: ['b'], after: 'always' })],
    [true, withTool({ needs: ['b'], after: 'failure' })],
    [false, withTool({ needs: ['b'], after: 'never' })],
    [false, withTool({ needs: ['b', 'b'] })],
    [false, withTool({ needs: [1] })],
    [false, withTool({ after: 'success' })],
    [true, withTool({ expect: { exitCodes: [0, 255] } })],
    [true, withTool({ expect: { exitCodes: [1], timeout: false } })],
    [false, withTool({ expect: { exitCodes: [1], timeout: true }, timeoutMs: 5 })],
    [true, withTool({ expect: { timeout: true }, timeoutMs: 5 })],
    [false, withTool({ expect: { exitCode: 1 } })],
    [false, withTool({ expect: { exitCodes: [] } })],
    [false, withTool({ expect: { exitCodes: [256] } })],
    [true, withTool({ progress: { pattern: '(?<message>.*)' } })],
    [false, withTool({ progress: {} })],
    [false, withTool({ env: { 'A-B': '1' } })],
    [false, withTool({ env: { STATEWARD_X: '1' } })],
    [false, withTool(JSON.parse('{"env":{"__proto__":"x"}}') as object)],
    [false, withTool({ env: { A: 'x'.repeat(32_769) } })],
    [false, withTool({ args: ['x'.repeat(32_769)] })],
    [false, withTool({ args: Array.from({ length: 1001 }, () => 'x') })],
    [false, withTool({ dependsOn: ['b'] })],
  ])('says %s like the decoder: case %#', (expected, given) => {
    expect([takes(given), decodes(given)]).toEqual([expected, expected])
  })

  it('takes the examples', () => {
    const folder = join(root, 'examples', 'plans')
    const files = readdirSync(folder).filter((name) => name.endsWith('.json'))
    expect(files.length).toBeGreaterThan(1)
    for (const file of files) {
      const example: unknown = JSON.parse(readFileSync(join(folder, file), 'utf8'))
      expect([file, takes(example), decodes(example)]).toEqual([file, true, true])
    }
  })
})
