import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { decodeJson } from '../../base/decode.js'

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

const endedSchema = v.strictObject({
  type: v.literal('ended'),
  /** `null` when a signal ended it. */
  exitCode: v.nullable(count),
  signal: v.nullable(v.string()),
  /** It ran into its time limit. */
  timedOut: v.boolean(),
  /** Why it was asked to end before, if it was: somebody said so, or its owner was gone. */
  interruptedBy: v.nullable(v.picklist(['request', 'owner_lost'])),
  durationMs: count,
  stdoutBytes: count,
  stderrBytes: count,
  /** The last bytes of both streams, as text. */
  outputTail: v.string(),
  /** What kept its output from being written to its files. */
  outputFailure: v.nullable(v.string()),
})

const reportSchema = v.variant('type', [
  endedSchema,
  /** The system could not start the program. */
  v.strictObject({ type: v.literal('not_started'), systemCode: v.nullable(v.string()), message: v.string() }),
  /** Its owner was gone before it said what to run. */
  v.strictObject({ type: v.literal('unasked') }),
])

/** How a supervised child ended, as its supervisor leaves it for whoever comes. */
export type ExitReport = v.InferOutput<typeof reportSchema>
/** The end of a child that had run. */
export type EndedReport = v.InferOutput<typeof endedSchema>

const fileName = 'exit.json'
const maxReportBytes = 262_144

/** Leaves the report in the directory, durable and whole. */
export function writeExitReport(directory: string, report: ExitReport): void {
  const path = join(directory, fileName)
  const descriptor = openSync(`${path}.new`, 'w', 0o600)
  try {
    writeSync(descriptor, JSON.stringify(report))
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(`${path}.new`, path)
}

/** The report that was left in the directory, if one was. Raises `invalid_input` for one that is none. */
export function readExitReport(directory: string): ExitReport | undefined {
  const path = join(directory, fileName)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  return decodeJson(reportSchema, text, { subject: path, maxBytes: maxReportBytes })
}
