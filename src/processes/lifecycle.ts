import type * as v from 'valibot'
import { isSameJson } from '../base/json-copy.js'
import type { JsonValue } from '../base/json.js'
import { strictSchema } from '../base/options.js'
import {
  appended,
  known,
  select,
  selectIfRunning,
  type Decided,
  type NewEntry,
  type ProcessCommand,
  type ProcessRows,
} from './command.js'
import { ended, released, withLease } from './completion.js'
import { ProcessError } from './errors.js'
import type { LogEntry } from './event.js'
import {
  abandonRequestedKey,
  adoptedKey,
  externalRefKey,
  firstStartedKey,
  resumedKey,
  stepKey,
  waitingKey,
} from './keys.js'
import { checkHeld, ownerSchema, type ProcessLease } from './lease.js'
import {
  lifecyclePayloads,
  recordOf,
  waitKeyOf,
  type AbandonRequest,
  type ExternalRef,
  type ProcessRecord,
  type Started,
  type StoredProcess,
  type WaitState,
} from './record.js'
import { checkSize, jsonSchema, nameSchema, naturalSchema, positiveSchema, take, type ProcessId } from './scalars.js'
import type { StartRequest, StepResult } from './store.js'

const startRequestSchema: v.GenericSchema<unknown, StartRequest> = strictSchema({
  owner: ownerSchema,
  startedAtMs: naturalSchema,
})

const ofStep = { name: nameSchema, ordinal: positiveSchema }
const resultSchema: v.GenericSchema<unknown, StepResult> = strictSchema({ ...ofStep, result: jsonSchema })
const errorSchema: v.GenericSchema<unknown, StepResult> = strictSchema({ ...ofStep, error: jsonSchema })

/** Checks and copies a start. Raises `invalid_input` naming the field. */
export function takeStart(input: unknown): StartRequest {
  return take(startRequestSchema, input, 'start')
}

/** Checks and copies the result of a step. Raises `invalid_input` naming the field, also if the result is too large. */
export function takeStep(input: unknown): StepResult {
  const isError = typeof input === 'object' && input !== null && 'error' in input
  const step = take(isError ? errorSchema : resultSchema, input, 'step')
  checkSize('error' in step ? step.error : step.result, 'step', isError ? 'error' : 'result')
  return step
}

/** Writes the external reference, once (P-33). */
export function externalRefCommand(
  processId: ProcessId,
  ref: ExternalRef,
  lease: ProcessLease | undefined,
): ProcessCommand<ProcessRecord> {
  return {
    processId,
    decide: (rows, { nowMs }) => {
      const process = checked(processId, rows, lease, nowMs)
      const { externalRef } = process.state
      if (select(process, { type: 'set_external_ref' }).isTaken) {
        const payload = lifecyclePayloads.externalRef.write(ref)
        return logged(
          process,
          { eventType: 'process.external_ref_set', payload, replayKey: externalRefKey(processId) },
          nowMs,
        )
      }
      const [stored, provided] = [externalRef, ref] as unknown as [JsonValue, JsonValue]
      if (isSameJson(stored, provided)) return { result: recordOf(process) }
      throw new ProcessError('process.external_ref_conflict', { processId, stored, provided })
    },
  }
}

/** Records that an execution starts (P-34). */
export function startCommand(
  processId: ProcessId,
  { owner, startedAtMs }: StartRequest,
  lease: ProcessLease | undefined,
): ProcessCommand<ProcessRecord> {
  return {
    processId,
    decide: (rows, { nowMs }) => {
      const process = checked(processId, rows, lease, nowMs)
      const { registered, state } = process
      if (lease === undefined && registered.disposition !== 'externally_owned') {
        throw new ProcessError('process.lease_superseded', { processId, fencingToken: 0 })
      }
      const fencingToken = lease?.fencingToken ?? 0
      const { isTaken, guard } = select(process, { type: 'start', fencingToken })
      if (isTaken) {
        const attempt = (state.firstStarted?.attempt ?? 0) + 1
        const started: Started = { owner, startedAtMs, fencingToken, attempt }
        const payload = lifecyclePayloads.started.write(started)
        const replayKey = firstStartedKey(processId, attempt)
        return logged(process, { eventType: 'process.first_started', payload, replayKey }, nowMs)
      }
      const { firstStarted } = state
      if (firstStarted === undefined)
        throw new ProcessError('process.already_terminal', { processId, status: state.status })
      const isRepeat = firstStarted.fencingToken === fencingToken || registered.disposition === 'externally_owned'
      if (isRepeat) return { result: recordOf(process) }
      if (guard === 'isRerunnable') {
        throw new ProcessError('process.already_started', { processId, owner: firstStarted.owner.ownerId })
      }
      if (guard === 'hasAttemptLeft') return exhausted(process, firstStarted, rows, nowMs)
      throw new ProcessError('process.already_terminal', { processId, status: state.status })
    },
  }
}

/** All attempts are used: the process ends as abandoned, and the start is refused. */
function exhausted(
  process: StoredProcess,
  { owner, attempt }: Started,
  rows: ProcessRows,
  nowMs: number,
): Decided<ProcessRecord> {
  const { id: processId } = process.registered
  if (!select(process, { type: 'give_up' }).isTaken) throw new TypeError(`process ${processId} cannot be given up`)
  const output = { type: 'abandoned', evidence: { writer: 'engine_gave_up', owner, epochMs: nowMs } } as const
  const decided = ended(process, output, { type: 'attempts_exhausted' }, nowMs)
  return {
    ...withLease(decided, released(rows.lease)),
    result: decided.result.record,
    refusal: new ProcessError('process.attempts_exhausted', { processId, maxAttempts: attempt }),
  }
}

/** Records the result of a step. The first result stays (P-36). */
export function stepCommand(lease: ProcessLease, step: StepResult): ProcessCommand<StepResult> {
  const { processId } = lease
  const replayKey = stepKey(processId, step.name, step.ordinal)
  return {
    processId,
    key: replayKey,
    decide: (rows, { nowMs }) => {
      const process = checked(processId, rows, lease, nowMs)
      if (rows.keyed !== undefined) return { result: stepOf(rows.keyed) }
      checkFits(process, 'record_step', 'a step')
      const payload = step as unknown as JsonValue
      const { writes, process: after } = logged(process, { eventType: 'process.step', payload, replayKey }, nowMs)
      return { ...(writes && { writes }), ...(after && { process: after }), result: step }
    },
  }
}

/** The step result in a log entry. */
export function stepOf({ payload }: LogEntry): StepResult {
  return payload as unknown as StepResult
}

/** Records that an operating system process continues under a new lease (P-37). */
export function adoptCommand(lease: ProcessLease, pid: number): ProcessCommand<ProcessRecord> {
  const { processId, fencingToken: fence } = lease
  const replayKey = adoptedKey(processId, fence)
  return {
    processId,
    key: replayKey,
    decide: (rows, { nowMs }) => {
      const process = checked(processId, rows, lease, nowMs)
      if (rows.keyed !== undefined) return { result: recordOf(process) }
      checkFits(process, 'adopt', 'adoption')
      return logged(process, { eventType: 'process.adopted', payload: { fence, pid }, replayKey }, nowMs)
    },
  }
}

/** Requests that a process be abandoned. The first request stays (P-35). */
export function abandonCommand(processId: ProcessId, request: AbandonRequest): ProcessCommand<ProcessRecord> {
  return {
    processId,
    decide: (rows, { nowMs }) => {
      const process = known(processId, rows)
      if (select(process, { type: 'request_abandon' }).isTaken) {
        const payload = lifecyclePayloads.request.write(request)
        const replayKey = abandonRequestedKey(processId)
        return logged(process, { eventType: 'process.abandon_requested', payload, replayKey }, nowMs)
      }
      const { status, abandonRequest } = process.state
      if (status !== 'running') throw new ProcessError('process.abandon_refused', { processId, status })
      const isRepeat = isSameJson(abandonRequest as unknown as JsonValue, request as unknown as JsonValue)
      const warning = `process ${processId} was asked before to be abandoned; the first request stays`
      return { result: recordOf(process), ...(!isRepeat && { warning }) }
    },
  }
}

/** Sets what a process waits for, replacing an earlier wait (P-38). */
export function waitCommand(
  processId: ProcessId,
  wait: WaitState,
  lease: ProcessLease | undefined,
): ProcessCommand<ProcessRecord> {
  const replayKey = waitingKey(processId, waitKeyOf(wait.kind), wait.sinceMs)
  return {
    processId,
    key: replayKey,
    decide: (rows, { nowMs }) => {
      const process = checked(processId, rows, lease, nowMs)
      if (!select(process, { type: 'wait' }).isTaken) {
        throw new ProcessError('process.wait_refused', { processId, status: process.state.status })
      }
      const payload = lifecyclePayloads.wait.write(wait)
      if (rows.keyed === undefined) {
        return logged(process, { eventType: 'process.waiting', payload, replayKey }, nowMs)
      }
      // A restarted execution enters a wait that it entered before.
      if (isSameJson(rows.keyed.payload, payload)) return { result: recordOf(process) }
      throw new ProcessError('process.replay_conflict', { processId, key: replayKey })
    },
  }
}

/** Clears the wait of a process. Without a wait, nothing is written (P-38). */
export function clearWaitCommand(processId: ProcessId, lease: ProcessLease | undefined): ProcessCommand<ProcessRecord> {
  return {
    processId,
    decide: (rows, { nowMs }) => {
      const process = checked(processId, rows, lease, nowMs)
      const { wait } = process.state
      if (wait === undefined || !select(process, { type: 'resume' }).isTaken) return { result: recordOf(process) }
      const payload = lifecyclePayloads.wait.write(wait)
      const replayKey = resumedKey(processId, waitKeyOf(wait.kind), wait.sinceMs)
      return logged(process, { eventType: 'process.resumed', payload, replayKey }, nowMs)
    },
  }
}

/** Acknowledges a wake. A missing one is no error (P-51). */
export function ackCommand(processId: ProcessId, sequence: number): ProcessCommand<void> {
  return {
    processId,
    decide: (rows) => {
      known(processId, rows)
      return { writes: { ack: sequence }, result: undefined }
    },
  }
}

function checked(
  processId: ProcessId,
  rows: ProcessRows,
  lease: ProcessLease | undefined,
  nowMs: number,
): StoredProcess {
  const process = known(processId, rows)
  if (lease !== undefined) checkHeld(processId, rows.lease, lease, nowMs)
  return process
}

function checkFits(process: StoredProcess, type: 'record_step' | 'adopt', action: string): void {
  if (select(process, { type }).isTaken) return
  const { id: processId, disposition } = process.registered
  if (!selectIfRunning(process, { type }).isTaken) {
    throw new ProcessError('process.disposition_unfit', { processId, disposition, action })
  }
  throw new ProcessError('process.already_terminal', { processId, status: process.state.status })
}

function logged(process: StoredProcess, added: NewEntry, nowMs: number): Decided<ProcessRecord> {
  const { entry, process: after } = appended(process, added, nowMs)
  return { writes: { entries: [entry] }, process: after, result: recordOf(after) }
}
