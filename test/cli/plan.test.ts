import { describe, expect, it } from 'vitest'
import { maxPlanBytes, parsePlan } from '../../src/cli/plan.js'

const tool = { name: 'build', command: 'make' }

function parse(plan: unknown) {
  return parsePlan(JSON.stringify(plan), 'plan.json')
}

/** A plan whose only tool has these fields. */
function withTool(fields: object) {
  return { name: 'demo', tools: [{ ...tool, ...fields }] }
}

function refusalOf(source: string): unknown {
  try {
    return parsePlan(source, 'plan.json')
  } catch (error) {
    return (error as { data: unknown }).data
  }
}

describe('a plan', () => {
  it('needs a name and one tool with a name and a command', () => {
    expect(parse({ name: 'demo', tools: [tool] })).toEqual({
      name: 'demo',
      concurrency: 4,
      tools: [{ ...tool, args: [], cwd: '.', env: {}, expect: { type: 'exit', exitCodes: [0] } }],
    })
  })

  it('may say everything about a tool', () => {
    const full = {
      name: 'test.unit-1',
      description: 'runs the tests',
      command: './run',
      args: ['--all', ''],
      cwd: '../other',
      env: { LEVEL: '1' },
      timeoutMs: 1000,
      progress: { pattern: '^(?<percent>\\d+)% (?<message>.*)$' },
    }
    const [parsed] = parse({ name: 'demo', concurrency: 64, tools: [{ ...full, expect: { exitCodes: [0, 2] } }] }).tools
    expect(parsed).toEqual({
      ...full,
      expect: { type: 'exit', exitCodes: [0, 2] },
      progress: { pattern: /^(?<percent>\d+)% (?<message>.*)$/u },
    })
  })

  it('may expect a tool to run into its timeout', () => {
    const [parsed] = parse(withTool({ timeoutMs: 5, expect: { timeout: true } })).tools
    expect(parsed?.expect).toEqual({ type: 'timeout' })
  })

  it.each([
    ['a list', [], '$', 'expected an object but got Array'],
    ['no name', { tools: [tool] }, 'name', 'is missing'],
    ['no tools', { name: 'demo' }, 'tools', 'is missing'],
    ['an empty list of tools', { name: 'demo', tools: [] }, 'tools', 'names no tool'],
    ['tools that are no list', { name: 'demo', tools: {} }, 'tools', 'expected a list but got Object'],
    [
      'an unknown key',
      { name: 'demo', tools: [tool], jobs: 3 },
      'jobs',
      'unknown key; known are name, concurrency, tools',
    ],
    ['a name that is a path', { name: '../demo', tools: [tool] }, 'name', expect.stringMatching(/^a name has 1 to 64/)],
    [
      'no concurrency',
      { name: 'd', concurrency: 0, tools: [tool] },
      'concurrency',
      expect.stringMatching(/from 1 to 64/),
    ],
    [
      'too much of it',
      { name: 'd', concurrency: 65, tools: [tool] },
      'concurrency',
      expect.stringMatching(/from 1 to 64/),
    ],
    [
      'half of it',
      { name: 'd', concurrency: 1.5, tools: [tool] },
      'concurrency',
      expect.stringMatching(/whole number/),
    ],
    ['text for it', { name: 'd', concurrency: '4', tools: [tool] }, 'concurrency', 'expected a number but got "4"'],
    ['a nameless tool', { name: 'd', tools: [{ command: 'x' }] }, 'tools.0.name', 'is missing'],
    ['a tool without command', { name: 'd', tools: [tool, { name: 'b' }] }, 'tools.1.command', 'is missing'],
    ['an empty command', withTool({ command: '' }), 'tools.0.command', 'a command must not be empty'],
    ['a command with NUL', withTool({ command: 'a\0b' }), 'tools.0.command', 'a command must not hold a NUL character'],
    [
      'an unknown key of a tool',
      withTool({ timeout: 5 }),
      'tools.0.timeout',
      expect.stringMatching(/^unknown key; known are name,/),
    ],
    [
      'a prototype key',
      JSON.parse('{"name":"d","tools":[{"name":"a","command":"b","__proto__":{}}]}'),
      'tools.0.__proto__',
      expect.stringMatching(/^unknown key/),
    ],
    ['a number as argument', withTool({ args: ['a', 1] }), 'tools.0.args.1', 'expected a string but got 1'],
    [
      'a bad variable name',
      withTool({ env: { 'A-B': '1' } }),
      'tools.0.env.A-B',
      expect.stringMatching(/^a variable name/),
    ],
    [
      'a reserved variable',
      withTool({ env: { STATEWARD_X: '1' } }),
      'tools.0.env.STATEWARD_X',
      expect.stringMatching(/set by the runner/),
    ],
    ['a number as variable', withTool({ env: { A: 1 } }), 'tools.0.env.A', 'expected a string but got 1'],
    [
      'no time',
      withTool({ timeoutMs: 0 }),
      'tools.0.timeoutMs',
      'a timeout must be a whole number from 1 to 2147483647',
    ],
    [
      'too much time',
      withTool({ timeoutMs: 2 ** 31 }),
      'tools.0.timeoutMs',
      expect.stringMatching(/^a timeout must be/),
    ],
    [
      'a variable that is no variable',
      JSON.parse('{"name":"d","tools":[{"name":"a","command":"b","env":{"__proto__":"c"}}]}'),
      'tools.0.env',
      'a variable cannot be named __proto__',
    ],
    ['a list of variables', withTool({ env: [] }), 'tools.0.env', 'expected an object but got Array'],
    ['a list of expectations', withTool({ expect: [] }), 'tools.0.expect', 'expected an object but got Array'],
    ['null', withTool({ timeoutMs: null }), 'tools.0.timeoutMs', 'expected a number but got null'],
    ['no exit code', withTool({ expect: { exitCodes: [] } }), 'tools.0.expect.exitCodes', 'names no exit code'],
    [
      'an impossible one',
      withTool({ expect: { exitCodes: [0, 256] } }),
      'tools.0.expect.exitCodes.1',
      expect.stringMatching(/0 to 255/),
    ],
    [
      'an unknown expectation',
      withTool({ expect: { exitCode: 1 } }),
      'tools.0.expect.exitCode',
      'unknown key; known are exitCodes, timeout',
    ],
    [
      'two expectations',
      withTool({ timeoutMs: 5, expect: { exitCodes: [1], timeout: true } }),
      'tools.0.expect',
      expect.stringMatching(/^a tool either/),
    ],
    [
      'a timeout that cannot be',
      withTool({ expect: { timeout: true } }),
      'tools.0.expect.timeout',
      expect.stringMatching(/has no timeoutMs/),
    ],
    [
      'an invalid pattern',
      withTool({ progress: { pattern: '(?<message>' } }),
      'tools.0.progress.pattern',
      expect.stringMatching(/^Invalid regular expression/),
    ],
    [
      'a pattern without groups',
      withTool({ progress: { pattern: 'done' } }),
      'tools.0.progress.pattern',
      expect.stringMatching(/^needs a group/),
    ],
    [
      'a pattern with other groups',
      withTool({ progress: { pattern: '(?<message>.)(?<rest>.)' } }),
      'tools.0.progress.pattern',
      'unknown group (?<rest>...): message and percent are read',
    ],
    [
      'a long pattern',
      withTool({ progress: { pattern: `(?<message>${'.'.repeat(256)})` } }),
      'tools.0.progress.pattern',
      expect.stringMatching(/256 characters/),
    ],
    [
      'a second tool of a name',
      { name: 'd', tools: [tool, { ...tool, name: 'other' }, tool] },
      'tools.2.name',
      '"build" is already the name of tools.0',
    ],
    [
      'too many tools',
      { name: 'd', tools: Array.from({ length: 1001 }, (_, index) => ({ ...tool, name: `t${index}` })) },
      'tools',
      '1001 entries exceed the limit of 1000',
    ],
  ])('is refused with %s', (_, plan, field, reason) => {
    expect(refusalOf(JSON.stringify(plan))).toEqual({ subject: 'plan.json', field, reason })
  })

  it('is refused when it is no JSON', () => {
    expect(refusalOf('{"name": demo}')).toMatchObject({ field: '$', reason: expect.stringMatching(/^not JSON: /) })
  })

  it('is refused when it is too long', () => {
    const reason = `${maxPlanBytes + 1} bytes exceed the limit of ${maxPlanBytes}`
    expect(refusalOf(' '.repeat(maxPlanBytes + 1))).toMatchObject({ field: '$', reason })
  })
})
