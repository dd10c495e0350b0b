import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { decodeJson } from '../../base/decode.js'

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

const endedSchema = v.strictObject({
  type: v.literal('ended'),
  /** `null` if a signal ended it. */
  exitCode: v.nullable(count),
  signal: v.nullable(v.string()),
  /** It exceeded its time limit. */
  timedOut: v.boolean(),
  /** Why it was asked to end, if it was: by a request, or because its owner was gone. */
  interruptedBy: v.nullable(v.picklist(['request', 'owner_lost'])),
  durationMs: count,
  stdoutBytes: count,
  stderrBytes: count,
  /** The last bytes of both streams, as text. */
  outputTail: v.string(),
  /** The error that prevented its output from being written to files, if any. */
  outputFailure: v.nullable(v.string()),
})

const reportSchema = v.variant('type', [
  endedSchema,
  /** The system could not start the program. */
  v.strictObject({ type: v.literal('not_started'), systemCode: v.nullable(v.string()), message: v.string() }),
  /** Its owner was gone before it sent a command. */
  v.strictObject({ type: v.literal('unasked') }),
])

/** The report that a supervisor leaves about the end of its child. */
export type ExitReport = v.InferOutput<typeof reportSchema>
/** The end of a child that has run. */
export type EndedReport = v.InferOutput<typeof endedSchema>

const fileName = 'exit.json'
const maxReportBytes = 262_144

/** Writes the report to the directory, durably and atomically. */
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

/** Reads the report in the directory, if there is one. Throws `invalid_input` if it cannot be decoded. */
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
