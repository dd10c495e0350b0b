import { conditionHolds } from './condition.js'
import type { LoadedPlan } from './loaded-plan.js'
import type { PlannedTool } from './plan.js'
import { expand, parseTemplate, type Scope } from './template.js'

type Variables = Readonly<Record<string, string | undefined>>

/** What tools have passed on, by tool. */
export type Outputs = ReadonlyMap<string, Readonly<Record<string, string>>>

/** The texts of a tool that may hold references, with their fields. */
export function textsOf({ command, args, cwd, env, if: condition }: PlannedTool): [field: string, text: string][] {
  return [
    ['command', command],
    ['cwd', cwd],
    ...args.map((argument, index): [string, string] => [`args.${index}`, argument]),
    ...Object.entries(env).map(([name, value]): [string, string] => [`env.${name}`, value]),
    ...(condition === undefined ? [] : [['if', condition] as [string, string]]),
  ]
}

/** Whether a text in this field can refer to the variable: those of the tool itself are not there for each other. */
export function isSet(
  name: string,
  field: string,
  { env: own }: PlannedTool,
  { env, environment }: LoadedPlan,
): boolean {
  const layers = field.startsWith('env.') ? [env, environment] : [own, env, environment]
  return valueIn(layers, name) !== undefined
}

/** Whether the tool's condition holds; without one it does. Raises `unset_reference` for an output that is not there. */
export function isWanted(tool: PlannedTool, file: LoadedPlan, outputs: Outputs): boolean {
  return tool.if === undefined || conditionHolds(parseTemplate(tool.if), scopeOf(tool, file, outputs))
}

/**
 * The tool as it is run: values in place of references, and the variables of the plan beside its own. Raises
 * `unset_reference` for an output that is not there.
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

/** The directory that the tool is run in, relative to the plan file. Raises `unset_reference`. */
export function expandDirectory(tool: PlannedTool, file: LoadedPlan, outputs: Outputs): string {
  return expand(parseTemplate(tool.cwd), scopeOf(tool, file, outputs))
}

/** The variables of a plan with values from the environment of the runner; `refuse` raises what is wrong with one. */
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

/** What the texts of the tool can refer to. */
function scopeOf({ env: own }: PlannedTool, file: LoadedPlan, outputs: Outputs): Scope {
  const outer = outerScope(file, outputs)
  const variable = (name: string): string | undefined => {
    const value = valueIn([own], name)
    return value === undefined ? outer.variable(name) : expand(parseTemplate(value), outer)
  }
  return { ...outer, variable }
}

/** What the variables of a tool can refer to. */
function outerScope({ env, environment }: LoadedPlan, outputs: Outputs): Scope {
  return {
    variable: (name) => valueIn([env, environment], name),
    output: (tool, name) => valueIn([outputs.get(tool) ?? {}], name),
  }
}

/** What the first of the layers says that has it; what an object inherits is none of its variables. */
function valueIn(layers: readonly Variables[], name: string): string | undefined {
  return layers.find((layer) => Object.hasOwn(layer, name) && layer[name] !== undefined)?.[name]
}
