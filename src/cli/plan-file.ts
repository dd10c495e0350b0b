import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { InvalidInputError, messageOf } from '../base/errors.js'
import { maxPlanBytes, parsePlan, type Plan } from './plan.js'

/** A plan and the folder that the directories of its tools are relative to. */
export interface PlanFile {
  readonly plan: Plan
  readonly home: string
}

/** Reads a plan. Raises `invalid_input` naming the file, the field and the reason. */
export async function loadPlan(file: string): Promise<PlanFile> {
  const plan = parsePlan(await readText(file), file)
  const home = dirname(resolve(file))
  for (const [place, { cwd }] of plan.tools.entries()) {
    const directory = resolve(home, cwd)
    if (await isDirectory(directory)) continue
    throw new InvalidInputError({
      subject: file,
      field: `tools.${place}.cwd`,
      reason: `no such directory: ${directory}`,
    })
  }
  return { plan, home }
}

async function readText(file: string): Promise<string> {
  try {
    // One byte more than allowed tells a file that is too long, however long it is.
    const bytes = await buffer(createReadStream(file, { end: maxPlanBytes }))
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new InvalidInputError({ subject: file, field: '$', reason: `cannot be read: ${messageOf(cause)}` }, { cause })
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false
  }
}
