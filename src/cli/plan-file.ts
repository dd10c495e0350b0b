import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { InvalidInputError, messageOf, StatewardError } from '../base/errors.js'
import { expandDirectory, expandVariables, isSet, textsOf } from './expand-tool.js'
import { parsePlan } from './parse-plan.js'
import { maxPlanBytes, type PlannedTool } from './plan.js'
import type { LoadedPlan } from './loaded-plan.js'
import { parseTemplate, referencesOf, TemplateError, unsetReference } from './template.js'

/** Raised with code `plan_missing` or `plan_unreadable` for a plan file that does not exist or cannot be read. */
export class PlanFileError extends StatewardError<'plan_missing' | 'plan_unreadable', { readonly file: string }> {
  override readonly name = 'PlanFileError'
}

/**
 * Reads a plan, taking variables from `environment`. Raises `plan_missing` and `plan_unreadable`, and `invalid_input`
 * naming the file, the field and the reason. All that can be checked before a run is checked here.
 */
export async function loadPlan(
  file: string,
  environment: Readonly<NodeJS.ProcessEnv> = process.env,
): Promise<LoadedPlan> {
  const plan = parsePlan(await readText(file), file)
  const home = dirname(resolve(file))
  const refuse = (field: string, reason: string): never => {
    throw new InvalidInputError({ subject: file, field, reason })
  }
  const env = expandVariables(plan.env, environment, (name, cause) => refuse(`env.${name}`, messageOf(cause)))
  const loaded: LoadedPlan = { plan, home, environment, env }
  for (const [place, tool] of plan.tools.entries()) {
    for (const [field, text] of textsOf(tool)) {
      const unset = unsetVariable(text, (variable) => isSet(variable, field, tool, loaded))
      if (unset !== undefined) refuse(`tools.${place}.${field}`, unset)
    }
    const directory = directoryOf(tool, loaded)
    if (directory !== undefined && !(await isDirectory(directory))) {
      refuse(`tools.${place}.cwd`, `no such directory: ${directory}`)
    }
  }
  return loaded
}

/** Why the references of a text cannot be replaced, as far as they are to variables. */
function unsetVariable(text: string, isSetVariable: (name: string) => boolean): string | undefined {
  const unset = referencesOf(parseTemplate(text)).find(
    ({ tool, name, fallback }) => tool === undefined && fallback === undefined && !isSetVariable(name),
  )
  return unset && unsetReference(unset).message
}

/** Where the tool runs; `undefined` if that depends on the output of another tool. */
function directoryOf(tool: PlannedTool, loaded: LoadedPlan): string | undefined {
  try {
    return resolve(loaded.home, expandDirectory(tool, loaded, new Map()))
  } catch (error) {
    if (error instanceof TemplateError) return undefined
    throw error
  }
}

async function readText(file: string): Promise<string> {
  let bytes: Buffer
  try {
    // Read one byte more than allowed, to detect a file that is too long without reading all of it.
    bytes = await buffer(createReadStream(file, { end: maxPlanBytes }))
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    if (isMissing) throw new PlanFileError('plan_missing', `there is no plan file ${file}`, { file }, { cause })
    throw new PlanFileError('plan_unreadable', `cannot read ${file}: ${messageOf(cause)}`, { file }, { cause })
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new InvalidInputError({ subject: file, field: '$', reason: 'not UTF-8' }, { cause })
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false
  }
}
