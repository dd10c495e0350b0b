import { describe, expect, it } from 'vitest'
import { parsePlan } from '../../src/cli/parse-plan.js'
import { maxPlanBytes } from '../../src/cli/plan.js'

const tool = { name: 'build', command: 'make' }
const defaults = { args: [], cwd: '.', env: {}, needs: [], after: 'success', retries: 0, retryDelayMs: 0 }

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
      env: {},
      tools: [{ ...tool, ...defaults, expect: { type: 'exit', exitCodes: [0] } }],
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
      needs: ['build'],
      after: 'always',
      if: '${LEVEL} != 0',
      timeoutMs: 1000,
      retries: 20,
      retryDelayMs: 500,
      progress: { pattern: '^(?<percent>\\d+)% (?<message>.*)$' },
    }
    const tools = [{ ...full, expect: { exitCodes: [0, 2] } }, tool]
    const [parsed] = parse({ $schema: './plan.schema.json', name: 'demo', concurrency: 64, tools }).tools
    expect(parsed).toEqual({
      ...full,
      expect: { type: 'exit', exitCodes: [0, 2] },
      progress: { pattern: /^(?<percent>\d+)% (?<message>.*)$/u },
    })
  })

  it('may have a timeout for tools that name none', () => {
    const tools = [tool, { ...tool, name: 'own', timeoutMs: 5 }, { ...tool, name: 'x', expect: { timeout: true } }]
    const plan = parse({ name: 'demo', timeoutMs: 60_000, tools })
    expect(plan.tools.map(({ timeoutMs }) => timeoutMs)).toEqual([60_000, 5, 60_000])
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
      { name: 'demo', tools: [tool], colour: 3 },
      'colour',
      'unknown key; known are $schema, name, concurrency, env, timeoutMs, tools',
    ],
    [
      'a misspelt key, although another is missing',
      { name: 'd', tools: [{ nam: 'a', command: 'x' }] },
      'tools.0.nam',
      expect.stringMatching(/^unknown key, did you mean "name"\? Known are name, description, /),
    ],
    [
      'a key that means another elsewhere',
      withTool({ dependsOn: ['x'] }),
      'tools.0.dependsOn',
      expect.stringMatching(/^unknown key, did you mean "needs"\?/),
    ],
    [
      'a misspelt key of a plan',
      { name: 'd', concurency: 3, tools: [tool] },
      'concurency',
      expect.stringMatching(/^unknown key, did you mean "concurrency"\?/),
    ],
    [
      'a tool that is not there',
      withTool({ needs: ['biuld'] }),
      'tools.0.needs.0',
      'no tool is named "biuld", did you mean "build"?',
    ],
    ['a tool that is far from any', withTool({ needs: ['other'] }), 'tools.0.needs.0', 'no tool is named "other"'],
    ['a tool that needs itself', withTool({ needs: ['build'] }), 'tools.0.needs.0', '"build" cannot need itself'],
    [
      'a tool that is needed twice',
      { name: 'd', tools: [tool, { ...tool, name: 'b', needs: ['build', 'build'] }] },
      'tools.1.needs.1',
      '"build" is needed already, by needs.0',
    ],
    [
      'a cycle',
      {
        name: 'd',
        tools: [
          { ...tool, needs: ['free', 'c'] },
          { ...tool, name: 'free' },
          { ...tool, name: 'b', needs: ['build'] },
          { ...tool, name: 'c', needs: ['b'] },
        ],
      },
      'tools.0.needs.1',
      'a cycle: build needs c needs b needs build',
    ],
    [
      'a long circle',
      {
        name: 'd',
        tools: Array.from({ length: 1000 }, (_, i) => ({ ...tool, name: `t${i}`, needs: [`t${(i + 1) % 1000}`] })),
      },
      'tools.0.needs.0',
      `a cycle: ${Array.from({ length: 10 }, (_, i) => `t${i}`).join(' needs ')} needs ...`,
    ],
    [
      'an order after nothing',
      withTool({ after: 'always' }),
      'tools.0.after',
      'the tool needs no other that it could come after',
    ],
    [
      'an order that is none',
      withTool({ after: 'error' }),
      'tools.0.after',
      'expected one of success, failure, always but got "error"',
    ],
    [
      'an output of a tool that it does not need',
      { name: 'd', tools: [tool, { ...tool, name: 'b', args: ['-v', '${build.version}'] }] },
      'tools.1.args.1',
      '${build.version}: "build" is not among what the tool needs',
    ],
    [
      'an output of a tool that is not there',
      withTool({ if: '${biuld.version}' }),
      'tools.0.if',
      '${biuld.version}: no tool is named "biuld", did you mean "build"?',
    ],
    [
      'an output as command',
      withTool({ command: '${build.path}' }),
      'tools.0.command',
      expect.stringMatching(/^\$\{build\.path\} is an output of a tool/),
    ],
    [
      'an output in a variable of the plan',
      { name: 'd', env: { A: '${build.path}' }, tools: [tool] },
      'env.A',
      expect.stringMatching(/is an output of a tool/),
    ],
    [
      'what begins a reference and is none',
      withTool({ args: ['echo ${A%.js}'] }),
      'tools.0.args.0',
      expect.stringMatching(/^not a reference: \$\{A%\.js\}; known are \$\{NAME\}, .* and \$\$\{ stands for/),
    ],
    ['too many retries', withTool({ retries: 21 }), 'tools.0.retries', expect.stringMatching(/from 0 to 20/)],
    ['a retry before', withTool({ retryDelayMs: -1 }), 'tools.0.retryDelayMs', expect.stringMatching(/^a delay must/)],
    ['an empty condition', withTool({ if: '' }), 'tools.0.if', 'a condition must not be empty'],
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
      expect.stringMatching(/^unknown key, did you mean "timeoutMs"\? Known are name,/),
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
      'unknown key, did you mean "exitCodes"? Known are exitCodes, timeout',
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
