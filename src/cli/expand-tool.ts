import { conditionHolds } from './condition.js'
import type { LoadedPlan } from './loaded-plan.js'
import type { PlannedTool } from './plan.js'
import { expand, parseTemplate, type Scope } from './template.js'

type Variables = Readonly<Record<string, string | undefined>>

/** Outputs passed on by tools, by tool name. */
export type Outputs = ReadonlyMap<string, Readonly<Record<string, string>>>

/** The texts of a tool that may contain references, with their fields. */
export function textsOf({ command, args, cwd, env, if: condition }: PlannedTool): [field: string, text: string][] {
  return [
    ['command', command],
    ['cwd', cwd],
    ...args.map((argument, index): [string, string] => [`args.${index}`, argument]),
    ...Object.entries(env).map(([name, value]): [string, string] => [`env.${name}`, value]),
    ...(condition === undefined ? [] : [['if', condition] as [string, string]]),
  ]
}

/** True if a text in this field can refer to the variable: a tool's own variables cannot refer to each other. */
export function isSet(
  name: string,
  field: string,
  { env: own }: PlannedTool,
  { env, environment }: LoadedPlan,
): boolean {
  const layers = field.startsWith('env.') ? [env, environment] : [own, env, environment]
  return valueIn(layers, name) !== undefined
}

/** True if the tool's condition holds, or it has none. Raises `unset_reference` for a missing output. */
export function isWanted(tool: PlannedTool, file: LoadedPlan, outputs: Outputs): boolean {
  return tool.if === undefined || conditionHolds(parseTemplate(tool.if), scopeOf(tool, file, outputs))
}

/**
 * The tool as it is run: references replaced by values, and the variables of the plan added to its own. Raises
 * `unset_reference` for a missing output.
 */
export function expandTool(tool: PlannedTool, file: LoadedPlan, outputs: Outputs): PlannedTool {
  const scope = scopeOf(tool, file, outputs)
  const outer = outerScope(file, outputs)
  const own = Object.entries(tool.env).map(([name, value]) => [name, expand(parseTemplate(value), outer)])
  return {
    ...tool,
    command: expand(parseTemplate(tool.command), scope),
    args: tool.args.map((argument) => expand(parseTemplate(argument), scope)),
    cwd: expandDirectory(tool, file, outputs),
    env: { ...file.env, ...Object.fromEntries(own) },
  }
}

/** The directory in which the tool runs, relative to the plan file. Raises `unset_reference`. */
export function expandDirectory(tool: PlannedTool, file: LoadedPlan, outputs: Outputs): string {
  return expand(parseTemplate(tool.cwd), scopeOf(tool, file, outputs))
}

/** The variables of a plan with values from the runner's environment; `refuse` throws the error for a bad one. */
export function expandVariables(
  env: Readonly<Record<string, string>>,
  environment: Variables,
  refuse: (name: string, cause: unknown) => never,
): Record<string, string> {
  const scope: Scope = { variable: (name) => valueIn([environment], name), output: () => undefined }
  const valueOf = (name: string, text: string): string => {
    try {
      return expand(parseTemplate(text), scope)
    } catch (cause) {
      return refuse(name, cause)
    }
  }
  return Object.fromEntries(Object.entries(env).map(([name, text]) => [name, valueOf(name, text)]))
}

/** The values that the texts of a tool can refer to. */
function scopeOf({ env: own }: PlannedTool, file: LoadedPlan, outputs: Outputs): Scope {
  const outer = outerScope(file, outputs)
  const variable = (name: string): string | undefined => {
    const value = valueIn([own], name)
    return value === undefined ? outer.variable(name) : expand(parseTemplate(value), outer)
  }
  return { ...outer, variable }
}

/** The values that the variables of a tool can refer to. */
function outerScope({ env, environment }: LoadedPlan, outputs: Outputs): Scope {
  return {
    variable: (name) => valueIn([env, environment], name),
    output: (tool, name) => valueIn([outputs.get(tool) ?? {}], name),
  }
}

/** The value from the first layer that has the name; inherited properties do not count. */
function valueIn(layers: readonly Variables[], name: string): string | undefined {
  return layers.find((layer) => Object.hasOwn(layer, name) && layer[name] !== undefined)?.[name]
}
