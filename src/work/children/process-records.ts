import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import type { Clock } from '../../base/clock.js'
import { decodeJson } from '../../base/decode.js'
import { isUuid } from '../../base/ids.js'
import {
  hasVariable,
  isPidInUse,
  listProcesses,
  readBootId,
  readProcessStatus,
  type ProcessStatus,
} from '../../base/process-status.js'

/**
 * Name of the variable by which every process of an operation is known. It is inherited, so it also
 * marks what the recorded process started, and what was started in the moment before it was recorded.
 */
export const operationVariable = 'STATEWARD_OPERATION_ID'

const maxRecordBytes = 1024
/** Milliseconds between looking whether killed processes have gone, and how often to look. */
const reapPollMs = 5
const reapPolls = 400

const recordSchema = v.strictObject({
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(2)),
  /** Absent where the system does not tell. */
  identity: v.nullable(v.strictObject({ startTime: v.string(), bootId: v.string() })),
})

type ProcessRecord = v.InferOutput<typeof recordSchema>

/** The record of one operation's process; disposing it says that nothing of the process is left. */
export interface OpenProcessRecord extends Disposable {
  /** Adds which process it is. */
  started(pid: number): void
}

/** What became of the recorded processes of one operation. */
export interface ReapedOperation {
  readonly operationId: string
  /** How many processes were still running and have been killed. */
  readonly killed: number
  /** Processes that may still run: killed without effect, or not to be told from a stranger on this system. */
  readonly leftPids: readonly number[]
}

/**
 * Which process runs on behalf of which operation, one small file each, so that the next process can
 * end what a killed one left behind. Nothing is synced: the files only matter while the system stays
 * up, and an empty one is as good as an announcement.
 */
export class ProcessRecords {
  readonly #directory: string

  /** Creates the directory when it is missing. */
  constructor(directory: string) {
    this.#directory = directory
    mkdirSync(directory, { recursive: true })
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
   * Kills what still runs of recorded processes, with their groups; a record is forgotten once nothing
   * is left of it. Only for a caller who knows that nobody else uses the directory. A process is taken
   * for the operation's by its start time or by the operation's id in its environment, never by its
   * pid alone.
   *
   * Raises `invalid_input` for a record that is not one.
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
): Promise<Omit<ReapedOperation, 'operationId'>> {
  if (record?.identity === null) return { killed: 0, leftPids: isPidInUse(record.pid) ? [record.pid] : [] }
  const killed = new Set<number>()
  for (let poll = 0; poll < reapPolls; poll += 1) {
    const running = processesOf(operationId, record)
    if (running.length === 0) break
    for (const { pid } of running) {
      kill(pid)
      killed.add(pid)
    }
    await new Promise<void>((resolve) => clock.setTimeout(resolve, reapPollMs))
  }
  const leftPids = processesOf(operationId, record).map(({ pid }) => pid)
  return { killed: killed.size - leftPids.length, leftPids }
}

/** The operation's processes, and whatever shares a group with one of them. */
function processesOf(operationId: string, record: ProcessRecord | undefined): ProcessStatus[] {
  const processes = listProcesses()
  const isRecordedBoot = record?.identity?.bootId === readBootId()
  const isRecorded = ({ pid, startTime }: ProcessStatus): boolean =>
    isRecordedBoot && pid === record?.pid && startTime === record.identity?.startTime
  const own = processes.filter(
    (status) => isRecorded(status) || hasVariable(status.pid, operationVariable, operationId),
  )
  const groups = new Set(own.map(({ group }) => group))
  groups.delete(readProcessStatus(process.pid)?.group ?? 0)
  return processes.filter(({ group }) => groups.has(group))
}

function identityOf(pid: number): ProcessRecord['identity'] {
  const [status, bootId] = [readProcessStatus(pid), readBootId()]
  return status === undefined || bootId === undefined ? null : { startTime: status.startTime, bootId }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    // It ended by itself, or is not ours to kill; the next look tells which.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}
