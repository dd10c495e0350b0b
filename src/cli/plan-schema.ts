import * as v from 'valibot'
import { messageOf } from '../base/errors.js'
import { nearest } from './nearest.js'
import { afterPolicies, maxRetries, maxTools, type Expectation } from './plan.js'
import { parseTemplate, referencesOf, variablePattern } from './template.js'

/** Names from other tools that are too different from ours to be recognised as misspellings. */
const otherNames: Readonly<Record<string, string>> = {
  depends: 'needs',
  dependsOn: 'needs',
  depends_on: 'needs',
  dependencies: 'needs',
  environment: 'env',
  cmd: 'command',
  run: 'command',
  workingDirectory: 'cwd',
  attempts: 'retries',
  maxAttempts: 'retries',
  when: 'if',
  jobs: 'tools',
  steps: 'tools',
  tasks: 'tools',
}

const wholeNumber = (name: string, least: number, most: number) =>
  v.pipe(
    v.number((issue) => `expected a number but got ${issue.received}`),
    v.check(
      (value) => Number.isInteger(value) && value >= least && value <= most,
      `${name} must be a whole number from ${least} to ${most}`,
    ),
  )

const text = (name: string, most: number) =>
  v.pipe(
    v.string((issue) => `expected a string but got ${issue.received}`),
    v.maxLength(most, `${name} may have ${most} characters at most`),
    v.check((value) => !value.includes('\0'), `${name} must not hold a NUL character`),
  )

const nonEmptyText = (name: string, most: number) =>
  v.pipe(text(name, most), v.minLength(1, `${name} must not be empty`))

/** Refuses a `${` that is not a reference; `variables` does not allow outputs of other tools. */
const references = (allowed: 'all' | 'variables') =>
  v.rawCheck<string>(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    try {
      const output = referencesOf(parseTemplate(dataset.value)).find(({ tool }) => tool !== undefined)
      if (output !== undefined && allowed === 'variables') {
        addIssue({ message: `${output.source} is an output of a tool: args, env of tools and if may hold them` })
      }
    } catch (refusal) {
      addIssue({ message: messageOf(refusal) })
    }
  })

const nameText = v.pipe(
  v.string((issue) => `expected a string but got ${issue.received}`),
  v.regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
    'a name has 1 to 64 letters, digits, dots, underscores or hyphens and begins with a letter or digit',
  ),
)

const variableName = v.pipe(
  v.string(),
  v.regex(variablePattern, 'a variable name has letters, digits and underscores and begins with no digit'),
  v.check((name) => !name.startsWith('STATEWARD_'), 'variables that begin with STATEWARD_ are set by the runner'),
)

/** Compiles the source of a pattern. Its groups are found by matching the pattern's empty alternative. */
const pattern = v.pipe(
  nonEmptyText('a pattern', 256),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    let compiled: RegExp
    try {
      compiled = new RegExp(dataset.value, 'u')
    } catch (cause) {
      addIssue({ message: (cause as Error).message })
      return NEVER
    }
    const groups = Object.keys(new RegExp(`${dataset.value}|`, 'u').exec('')?.groups ?? {})
    const unknown = groups.find((group) => group !== 'message' && group !== 'percent')
    if (unknown !== undefined) addIssue({ message: `unknown group (?<${unknown}>...): message and percent are read` })
    else if (groups.length === 0) addIssue({ message: 'needs a group (?<message>...) or (?<percent>...)' })
    return compiled
  }),
)

/** Excludes arrays, which the schema library treats as objects. */
const anObject = v.custom<object>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  (issue) => `expected an object but got ${issue.received}`,
)

/**
 * A strict object with messages for a plan's author. Unknown keys are reported first: if one is misspelt, a message
 * about a missing key would be only half of the problem.
 */
function object<const Entries extends v.ObjectEntries>(entries: Entries) {
  const known = Object.keys(entries)
  const onlyKnownKeys = v.rawCheck<object>(({ dataset, addIssue }) => {
    const input = dataset.value as Record<string, unknown>
    const key = Object.keys(input).find((candidate) => !known.includes(candidate))
    if (key === undefined) return
    const path = { type: 'object', origin: 'key', input, key, value: undefined } as const
    addIssue({ message: unknownKey(key, known), path: [path] })
  })
  return v.pipe(anObject, onlyKnownKeys, v.object(entries, 'is missing'))
}

function unknownKey(key: string, known: readonly string[]): string {
  const other = Object.hasOwn(otherNames, key) ? otherNames[key] : undefined
  const meant = other !== undefined && known.includes(other) ? other : nearest(key, known)
  const all = known.join(', ')
  return meant === undefined
    ? `unknown key; known are ${all}`
    : `unknown key, did you mean ${JSON.stringify(meant)}? Known are ${all}`
}

const list = <const Item extends v.GenericSchema>(item: Item, most: number) =>
  v.pipe(
    v.array(item, (issue) => `expected a list but got ${issue.received}`),
    v.maxLength(most, (issue) => `${issue.received} entries exceed the limit of ${most}`),
  )

const expectationSchema = v.pipe(
  object({
    exitCodes: v.optional(v.pipe(list(wholeNumber('an exit code', 0, 255), 256), v.minLength(1, 'names no exit code'))),
    timeout: v.optional(v.boolean((issue) => `expected true or false but got ${issue.received}`)),
  }),
  v.check(
    ({ exitCodes, timeout }) => timeout !== true || exitCodes === undefined,
    'a tool either times out or ends with an exit code: name one of exitCodes and timeout',
  ),
  v.transform(
    ({ exitCodes = [0], timeout = false }): Expectation =>
      timeout ? { type: 'timeout' } : { type: 'exit', exitCodes },
  ),
)

const environment = (allowed: 'all' | 'variables') =>
  v.pipe(
    anObject,
    // A record would silently drop it.
    v.check((value) => !Object.hasOwn(value, '__proto__'), 'a variable cannot be named __proto__'),
    v.record(variableName, v.pipe(text('a value', 32_768), references(allowed))),
  )

const timeoutMs = v.exactOptional(wholeNumber('a timeout', 1, 2 ** 31 - 1))

const toolSchema = object({
  name: nameText,
  description: v.exactOptional(text('a description', 1000)),
  command: v.pipe(nonEmptyText('a command', 4096), references('variables')),
  args: v.optional(list(v.pipe(text('an argument', 32_768), references('all')), 1000), []),
  cwd: v.optional(v.pipe(nonEmptyText('a directory', 4096), references('variables')), '.'),
  env: v.optional(environment('all'), {}),
  needs: v.optional(list(nameText, maxTools), []),
  after: v.exactOptional(
    v.picklist(afterPolicies, (issue) => `expected one of ${afterPolicies.join(', ')} but got ${issue.received}`),
  ),
  if: v.exactOptional(v.pipe(nonEmptyText('a condition', 4096), references('all'))),
  timeoutMs,
  retries: v.optional(wholeNumber('retries', 0, maxRetries), 0),
  retryDelayMs: v.optional(wholeNumber('a delay', 0, 2 ** 31 - 1), 0),
  expect: v.optional(expectationSchema, {}),
  progress: v.exactOptional(object({ pattern })),
})

/** Decodes a plan, one field at a time; relations between fields are checked afterwards. */
export const planSchema = object({
  $schema: v.exactOptional(text('an address', 4096)),
  name: nameText,
  concurrency: v.optional(wholeNumber('concurrency', 1, 64), 4),
  env: v.optional(environment('variables'), {}),
  timeoutMs,
  tools: v.pipe(list(toolSchema, maxTools), v.minLength(1, 'names no tool')),
})

/** The output of {@link planSchema}. */
export type DecodedPlan = v.InferOutput<typeof planSchema>
