import * as v from 'valibot'
import { decodeJson } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'

/** Largest plan file, in bytes. */
export const maxPlanBytes = 1024 * 1024
/** Most tools in one plan. */
export const maxTools = 1000

/** How a tool is expected to end; anything else makes the run end with exit code 1. */
export type Expectation =
  | { readonly type: 'exit'; readonly exitCodes: readonly number[] }
  /** The tool runs into its `timeoutMs`. */
  | { readonly type: 'timeout' }

/** One tool call of a plan, defaults filled in. */
export interface PlannedTool {
  /** Unique within the plan. */
  readonly name: string
  readonly description?: string
  /** Looked up in `PATH`, or a path when it holds a slash. */
  readonly command: string
  readonly args: readonly string[]
  /** As written, relative to the plan file. */
  readonly cwd: string
  /** Added to the environment of the runner. */
  readonly env: Readonly<Record<string, string>>
  readonly timeoutMs?: number
  readonly expect: Expectation
  /** Reads progress from a line of output: named groups `message` and `percent` (0 to 100). */
  readonly progress?: { readonly pattern: RegExp }
}

/** A decoded plan. */
export interface Plan {
  readonly name: string
  /** How many tools run at once. */
  readonly concurrency: number
  readonly tools: readonly PlannedTool[]
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

const nameText = v.pipe(
  v.string((issue) => `expected a string but got ${issue.received}`),
  v.regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
    'a name has 1 to 64 letters, digits, dots, underscores or hyphens and begins with a letter or digit',
  ),
)

const variableName = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'a variable name has letters, digits and underscores and begins with no digit'),
  v.check((name) => !name.startsWith('STATEWARD_'), 'variables that begin with STATEWARD_ are set by the runner'),
)

/** Source of a pattern -> the pattern, compiled. Groups are found by matching the pattern's empty alternative. */
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
    const stranger = groups.find((group) => group !== 'message' && group !== 'percent')
    if (stranger !== undefined) addIssue({ message: `unknown group (?<${stranger}>...): message and percent are read` })
    else if (groups.length === 0) addIssue({ message: 'needs a group (?<message>...) or (?<percent>...)' })
    return compiled
  }),
)

/** Lists are objects to the schema library. */
const anObject = v.custom<object>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  (issue) => `expected an object but got ${issue.received}`,
)

/** `strictObject` whose refusals say what is wrong in the words of a plan's author. */
function object<const Entries extends v.ObjectEntries>(entries: Entries) {
  const strict = v.strictObject(entries, ({ expected }) =>
    expected === 'never' ? `unknown key; known are ${Object.keys(entries).join(', ')}` : 'is missing',
  )
  return v.pipe(anObject, strict)
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

const environment = v.pipe(
  anObject,
  // A record would leave it out without a word.
  v.check((value) => !Object.hasOwn(value, '__proto__'), 'a variable cannot be named __proto__'),
  v.record(variableName, text('a value', 32_768)),
)

const toolSchema = object({
  name: nameText,
  description: v.exactOptional(text('a description', 1000)),
  command: nonEmptyText('a command', 4096),
  args: v.optional(list(text('an argument', 32_768), 1000), []),
  cwd: v.optional(nonEmptyText('a directory', 4096), '.'),
  env: v.optional(environment, {}),
  timeoutMs: v.exactOptional(wholeNumber('a timeout', 1, 2 ** 31 - 1)),
  expect: v.optional(expectationSchema, {}),
  progress: v.exactOptional(object({ pattern })),
})

const planSchema = object({
  name: nameText,
  concurrency: v.optional(wholeNumber('concurrency', 1, 64), 4),
  tools: v.pipe(list(toolSchema, maxTools), v.minLength(1, 'names no tool')),
})

/**
 * Decodes the text of a plan file.
 *
 * Raises `invalid_input` naming the offending field, for instance `tools.3.timeoutMs`.
 */
export function parsePlan(source: string, subject: string): Plan {
  const plan = decodeJson(planSchema, source, { subject, maxBytes: maxPlanBytes })
  const places = new Map<string, number>()
  for (const [place, tool] of plan.tools.entries()) {
    const earlier = places.get(tool.name)
    if (earlier !== undefined) {
      throw new InvalidInputError({
        subject,
        field: `tools.${place}.name`,
        reason: `"${tool.name}" is already the name of tools.${earlier}`,
      })
    }
    places.set(tool.name, place)
    if (tool.expect.type === 'timeout' && tool.timeoutMs === undefined) {
      throw new InvalidInputError({
        subject,
        field: `tools.${place}.expect.timeout`,
        reason: 'the tool has no timeoutMs that it could run into',
      })
    }
  }
  return plan
}
