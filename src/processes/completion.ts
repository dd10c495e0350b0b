import type { EndMove } from '../../machines/process.js'
import { StatewardError } from '../base/errors.js'
import { isSameJson } from '../base/json-copy.js'
import type { JsonValue } from '../base/json.js'
import { strictSchema } from '../base/options.js'
import * as v from 'valibot'
import { endMoves } from './append.js'
import { appended, known, select, selectIfRunning, type Decided, type ProcessCommand } from './command.js'
import { ProcessError } from './errors.js'
import { compiledTypes, terminalEventTypes, type MaterializedSemantics } from './event-type.js'
import { terminalKey } from './keys.js'
import { checkHeld, type ProcessLease, type StoredLease } from './lease.js'
import { encodeOutput, outputSchema, statusOfOutput, type AwaitOutput } from './output.js'
import { recordOf, type StoredProcess } from './record.js'
import { checkSize, keySchema, take, type ProcessId } from './scalars.js'
import type { CompletionRight, CompletionOutcome } from './store.js'

const authoritySchema: v.GenericSchema<unknown, CompletionRight> = v.variant('type', [
  strictSchema({ type: v.literal('external_owner') }),
  strictSchema({ type: v.literal('workflow_key'), key: keySchema }),
  strictSchema({ type: v.literal('reconciled_abandon') }),
])

/** Checks and copies an output. Raises `invalid_input` naming the field, also if it is too large. */
export function takeOutput(input: unknown): AwaitOutput {
  const output = take(outputSchema, input, 'await output')
  checkSize(output as unknown as JsonValue, 'await output', '$')
  return output
}

/** Checks and copies an authority. Raises `invalid_input` naming the field. */
export function takeAuthority(input: unknown): CompletionRight {
  return take(authoritySchema, input, 'completion authority')
}

/**
 * Ends a process without a lease, on the given authority (P-30). A process that has already ended is not changed: the
 * result says whether it ended with the same output or a different one.
 */
export function completeCommand(
  processId: ProcessId,
  output: AwaitOutput,
  authority: CompletionRight,
): ProcessCommand<CompletionOutcome> {
  const move = endMove(output, authority.type)
  return {
    processId,
    decide: (rows, { nowMs }) => {
      const process = known(processId, rows)
      if (!selectIfRunning(process, move).isTaken) {
        const { disposition } = process.registered
        throw new ProcessError('process.completion_unauthorized', { processId, authority: authority.type, disposition })
      }
      if (!select(process, move).isTaken) return { result: endedBefore(process, output) }
      return ended(process, output, authority, nowMs)
    },
  }
}

/** Ends a process under its lease and releases the lease in the same change (P-31). */
export function completeWithLeaseCommand(lease: ProcessLease, output: AwaitOutput): ProcessCommand<CompletionOutcome> {
  const { processId } = lease
  const move = endMove(output, 'lease')
  return {
    processId,
    decide: (rows, { nowMs }) => {
      const process = known(processId, rows)
      if (process.state.status !== 'running') return { result: endedBefore(process, output) }
      checkHeld(processId, rows.lease, lease, nowMs)
      if (!select(process, move).isTaken) {
        const { disposition } = process.registered
        throw new ProcessError('process.completion_unauthorized', { processId, authority: 'lease', disposition })
      }
      const authority = { type: 'lease', fencingToken: lease.fencingToken } as const
      return withLease(ended(process, output, authority, nowMs), released(rows.lease))
    },
  }
}

/** The authority under which a process was ended, as recorded in its final event. */
type RecordedAuthority =
  | CompletionRight
  | { readonly type: 'lease'; readonly fencingToken: number }
  | { readonly type: 'attempts_exhausted' }

/** Ends a running process. The chart has already allowed it. */
export function ended(
  process: StoredProcess,
  output: AwaitOutput,
  authority: RecordedAuthority,
  nowMs: number,
): Decided<CompletionOutcome> {
  const { id } = process.registered
  const state = statusOfOutput(output)
  const { fencingToken, ...plain } = { fencingToken: undefined, ...authority }
  const recorded = fencingToken === undefined ? plain : { ...plain, fencing_token: fencingToken }
  const eventType = terminalEventTypes[state]
  const payload = { await_output: encodeOutput(output), authority: recorded }
  const { wake, warning } = wakeOf(process, eventType, payload)
  const added = {
    eventType,
    payload,
    replayKey: keyOf(id, output),
    semantics: { terminal: { state, awaitOutput: output }, ...(wake !== undefined && { wake }) },
  }
  const { entry, process: after } = appended(process, added, nowMs)
  const result = { outcome: 'committed', record: recordOf(after) } as const
  return { writes: { entries: [entry] }, process: after, result, ...(warning !== undefined && { warning }) }
}

/**
 * Which session an end wakes, if its event type declares a wake. A selector that finds nothing never prevents the end.
 */
function wakeOf(
  { registered, state }: StoredProcess,
  eventType: string,
  payload: JsonValue,
): { readonly wake?: MaterializedSemantics['wake']; readonly warning?: string } {
  const type = compiledTypes(registered.eventTypes).get(eventType)
  if (type?.declared.semantics.wake === undefined) return {}
  const event = { processId: registered.id, sequence: state.lastSequence + 1, payload, wakeTarget: undefined }
  try {
    return { wake: type.materialize(event).wake }
  } catch (refusal) {
    if (!StatewardError.is(refusal, 'process.event_payload_invalid')) throw refusal
    return { warning: `the end of process ${registered.id} wakes nobody: ${refusal.message}` }
  }
}

/** The same decision, with this lease written as well. */
export function withLease<Result>(decided: Decided<Result>, lease: StoredLease | undefined): Decided<Result> {
  return lease === undefined ? decided : { ...decided, writes: { ...decided.writes, lease } }
}

/** A lease without a holder. The fencing token stays. */
export function released(lease: StoredLease | undefined): StoredLease | undefined {
  return lease && { fencingToken: lease.fencingToken }
}

function endedBefore(process: StoredProcess, output: AwaitOutput): CompletionOutcome {
  const isSame = isSameJson(process.state.outcome as unknown as JsonValue, output as unknown as JsonValue)
  return { outcome: isSame ? 'already_applied' : 'superseded', record: recordOf(process) }
}

function endMove(output: AwaitOutput, authority: EndMove['authority']): EndMove {
  return { type: endMoves[statusOfOutput(output)], authority }
}

function keyOf(processId: ProcessId, output: AwaitOutput): string {
  return terminalKey(processId, terminalEventTypes[statusOfOutput(output)])
}
