import { describe, expect, it } from 'vitest'
import { circleOf, orderByNeeds } from '../../src/cli/needs.js'
import { parsePlan } from '../../src/cli/parse-plan.js'
import type { LoadedPlan } from '../../src/cli/loaded-plan.js'
import { Schedule } from '../../src/cli/schedule.js'
import type { ToolResult } from '../../src/cli/run-report.js'

const needing = (name: string, ...needs: string[]) => ({ name, needs })

describe('the order of tools', () => {
  it.each([
    [[needing('a'), needing('b'), needing('c')], 'a b c'],
    [[needing('a', 'c'), needing('b'), needing('c')], 'b c a'],
    [[needing('d', 'b', 'c'), needing('c', 'a'), needing('b', 'a'), needing('a')], 'a c b d'],
  ])('is that of the plan, with what is needed first: %#', (tools, expected) => {
    const { ordered, left } = orderByNeeds(tools)
    expect([ordered.map(({ name }) => name).join(' '), left]).toEqual([expected, []])
  })

  it('leaves circles and what hangs on them', () => {
    const tools = [needing('x', 'a'), needing('a', 'b'), needing('b', 'a'), needing('free')]
    const { ordered, left } = orderByNeeds(tools)
    expect([ordered.map(({ name }) => name), left.map(({ name }) => name)]).toEqual([['free'], ['x', 'a', 'b']])
    expect(circleOf(left)).toEqual(['a', 'b', 'a'])
  })
})

describe('a schedule', () => {
  const done = (name: string): ToolResult => ({
    name,
    status: 'as_expected',
    begun: 'now',
    operationId: null,
    attempt: 1,
    reason: null,
    process: null,
  })

  function scheduleOf(tools: readonly object[]): Schedule {
    const plan = parsePlan(JSON.stringify({ name: 'demo', tools }), 'plan.json')
    const file: LoadedPlan = { plan, home: '/', environment: {}, env: {} }
    return new Schedule(file, new Map(), {})
  }

  it('starts what waits for nothing, in the order of the plan', () => {
    const schedule = scheduleOf([
      { name: 'late', command: 'x', needs: ['first'] },
      { name: 'first', command: 'x' },
      { name: 'second', command: 'x' },
    ])
    expect(schedule.settleOpen()).toEqual([])
    expect(schedule.takeReady()?.tool.name).toBe('first')
    schedule.ended(done('first'))
    schedule.settleOpen()
    expect([schedule.takeReady(), schedule.takeReady(), schedule.takeReady()].map((ready) => ready?.tool.name)).toEqual(
      ['late', 'second', undefined],
    )
    expect(schedule.open).toEqual([])
  })

  it('takes the longest chain that a plan can have', () => {
    const last = 999
    const tools = Array.from({ length: 1000 }, (_, index) => ({
      name: `t${index}`,
      command: 'x',
      ...(index < last && { needs: [`t${index + 1}`] }),
    }))
    const schedule = scheduleOf(tools)
    for (let index = last; index >= 0; index -= 1) {
      schedule.settleOpen()
      expect(schedule.takeReady()?.tool.name).toBe(`t${index}`)
      expect(schedule.takeReady()).toBeUndefined()
      schedule.ended(done(`t${index}`))
    }
    expect(schedule.open).toEqual([])
  })
})
