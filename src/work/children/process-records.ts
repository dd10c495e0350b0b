import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import type { Clock } from '../../base/clock.js'
import { decodeJson } from '../../base/decode.js'
import { isUuid } from '../../base/ids.js'
import { makeDirectorySync } from '../../base/make-directory.js'
import { isPidInUse } from '../../base/process-status.js'
import { identify, killProcesses, type KilledProcesses } from './marked-processes.js'

/**
 * The environment variable by which all processes of an operation are recognised. It is inherited, so it also marks
 * what the recorded process has started, including what was started just before the record was written.
 */
export const operationVariable = 'STATEWARD_OPERATION_ID'

const maxRecordBytes = 1024

const recordSchema = v.strictObject({
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(2)),
  /** Absent if the system does not report it. */
  identity: v.nullable(v.strictObject({ startTime: v.string(), bootId: v.string() })),
})

type ProcessRecord = v.InferOutput<typeof recordSchema>

/** The record of one operation's process. Disposing it means that nothing of the process is left. */
export interface OpenProcessRecord extends Disposable {
  /** Records which process it is. */
  started(pid: number): void
}

/** The result of killing the recorded processes of one operation. */
export interface ReapedOperation extends KilledProcesses {
  readonly operationId: string
}

/**
 * Records which process runs for which operation, in one small file each, so that after this process is killed the
 * next one can end what it left behind. Nothing is synced: the files only matter while the system stays up, and an
 * empty one still announces its operation.
 */
export class ProcessRecords {
  readonly #directory: string

  /** Creates the directory if it is missing. */
  constructor(directory: string) {
    this.#directory = directory
    makeDirectorySync(directory)
  }

  /** Announces a process that is about to be started for the operation. */
  open(operationId: string): OpenProcessRecord {
    const file = join(this.#directory, operationId)
    writeFileSync(file, '')
    return {
      started(pid) {
        writeFileSync(`${file}.new`, JSON.stringify({ pid, identity: identityOf(pid) } satisfies ProcessRecord))
        renameSync(`${file}.new`, file)
      },
      [Symbol.dispose]() {
        rmSync(file, { force: true })
      },
    }
  }

  /**
   * Kills recorded processes that still run, with their groups. A record is deleted once nothing of its process is
   * left. The caller must know that no other process uses the directory. A process is recognised by its start time or
   * by the operation's id in its environment, never by its pid alone.
   *
   * Throws `invalid_input` for a record that cannot be decoded.
   */
  async reap(clock: Clock): Promise<ReapedOperation[]> {
    const reaped: ReapedOperation[] = []
    for (const operationId of readdirSync(this.#directory).filter(isUuid)) {
      const file = join(this.#directory, operationId)
      const result = await reapOperation(operationId, readRecord(file), clock)
      if (result.leftPids.length === 0) for (const path of [file, `${file}.new`]) rmSync(path, { force: true })
      reaped.push({ operationId, ...result })
    }
    return reaped
  }
}

function readRecord(file: string): ProcessRecord | undefined {
  const text = readFileSync(file, 'utf8')
  return text === '' ? undefined : decodeJson(recordSchema, text, { subject: file, maxBytes: maxRecordBytes })
}

async function reapOperation(
  operationId: string,
  record: ProcessRecord | undefined,
  clock: Clock,
): Promise<KilledProcesses> {
  if (record?.identity === null) return { killed: 0, leftPids: isPidInUse(record.pid) ? [record.pid] : [] }
  const recorded = record && { pid: record.pid, ...record.identity }
  return killProcesses({ mark: { name: operationVariable, value: operationId }, ...(recorded && { recorded }) }, clock)
}

function identityOf(pid: number): ProcessRecord['identity'] {
  const identity = identify(pid)
  return identity === undefined ? null : { startTime: identity.startTime, bootId: identity.bootId }
}
