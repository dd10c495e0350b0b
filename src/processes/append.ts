import type { EndMove } from '../../machines/process.js'
import { InvalidInputError } from '../base/errors.js'
import { isSameJson } from '../base/json-copy.js'
import { appended, known, select, type Decided, type ProcessCommand } from './command.js'
import { ProcessError } from './errors.js'
import { compiledTypes, isLifecycleEventType, isSignalType, needsKey, type CompiledEventType } from './event-type.js'
import { eventOf, wakeDeliveryOf, type AppendRequest, type AppendResult, type LogEntry } from './event.js'
import { checkHeld, type ProcessLease } from './lease.js'
import { fold, type StoredProcess } from './record.js'
import type { ProcessId } from './scalars.js'
import type { TerminalProcessStatus } from './vocabulary.js'

/** The move in the process chart that leads to each terminal status. */
export const endMoves = {
  completed: 'complete',
  failed: 'fail',
  cancelled: 'cancel',
  abandoned: 'abandon',
} as const satisfies Record<TerminalProcessStatus, EndMove['type']>

/**
 * Appends an event (P-21). The checks run in this order: the process is known; the lease holds it; the type is not
 * reserved; the key is new or names the same event; the type is declared, has the key it needs and a fitting payload,
 * and its selectors find their values; the status allows it. If any check fails, nothing is written.
 */
export function appendCommand(
  processId: ProcessId,
  request: AppendRequest,
  lease: ProcessLease | undefined,
): ProcessCommand<AppendResult> {
  const { eventType, payload, replay, wakeTargetScope } = request
  if (replay !== undefined) checkKey(processId, replay.key, eventType)
  return {
    processId,
    ...(replay !== undefined && { key: replay.key }),
    decide: (rows, { nowMs }) => {
      const process = known(processId, rows)
      if (lease !== undefined) checkHeld(processId, rows.lease, lease, nowMs)
      if (isLifecycleEventType(eventType)) throw new ProcessError('process.event_reserved', { processId, eventType })
      if (rows.keyed !== undefined) return replayed(process, rows.keyed, request)
      const type = declaredType(process, eventType)
      if (needsKey(type.declared) && replay === undefined) {
        throw new ProcessError('process.event_key_required', { processId, eventType })
      }
      const misfit = type.check(payload)
      if (misfit !== undefined) {
        throw new ProcessError('process.event_payload_invalid', { processId, eventType, ...misfit })
      }
      const sequence = process.state.lastSequence + 1
      const semantics = type.materialize({ processId, sequence, payload, wakeTarget: wakeTargetScope })
      checkStatus(process, eventType, semantics.terminal?.state, lease)
      const added = { eventType, payload, semantics, ...(replay !== undefined && { replayKey: replay.key }) }
      const { entry, process: after } = appended(process, added, nowMs)
      return { writes: { entries: [entry] }, process: after, result: resultOf(after, entry, false) }
    },
  }
}

/** The entry already exists, so nothing is written, unless the process status was never updated from it (P-25). */
function replayed(process: StoredProcess, entry: LogEntry, request: AppendRequest): Decided<AppendResult> {
  const { id: processId } = process.registered
  if (entry.eventType !== request.eventType || !isSameJson(entry.payload, request.payload)) {
    throw new ProcessError('process.replay_conflict', { processId, key: entry.replayKey ?? '' })
  }
  const result = resultOf(process, entry, true)
  const isLeftBehind =
    entry.semantics?.terminal !== undefined &&
    process.state.status === 'running' &&
    entry.sequence === process.state.lastSequence
  if (!isLeftBehind) return { result }
  return { writes: {}, process: { ...process, state: fold(process.state, entry) }, result }
}

function declaredType(process: StoredProcess, eventType: string): CompiledEventType {
  const { id: processId, eventTypes } = process.registered
  const type = compiledTypes(eventTypes).get(eventType)
  if (type === undefined) throw new ProcessError('process.event_undeclared', { processId, eventType })
  return type
}

/** Raises `process.already_terminal` or `process.completion_unauthorized` if the chart refuses the move. */
function checkStatus(
  process: StoredProcess,
  eventType: string,
  end: TerminalProcessStatus | undefined,
  lease: ProcessLease | undefined,
): void {
  const authority = lease === undefined ? 'producer' : 'lease'
  const move =
    end !== undefined
      ? ({ type: endMoves[end], authority } as const)
      : ({ type: isSignalType(eventType) ? 'signal' : 'append' } as const)
  const { isTaken, guard } = select(process, move)
  if (isTaken) return
  const { id: processId, disposition } = process.registered
  if (guard === 'isAuthorised') {
    throw new ProcessError('process.completion_unauthorized', { processId, authority, disposition })
  }
  throw new ProcessError('process.already_terminal', { processId, status: process.state.status })
}

function resultOf({ registered, wakeTarget }: StoredProcess, entry: LogEntry, isReplay: boolean): AppendResult {
  const event = eventOf(registered.id, entry)
  const { causedBy } = registered.provenance
  const source = { ...(wakeTarget !== undefined && { wakeTarget }), ...(causedBy !== undefined && { causedBy }) }
  const wakeDelivery = wakeDeliveryOf(event, source)
  return { event, ...(wakeDelivery !== undefined && { wakeDelivery }), replayed: isReplay }
}

/** Refuses keys that the registry itself writes: a caller that took one would block the registry's own event. */
function checkKey(processId: ProcessId, key: string, eventType: string): void {
  const prefix = `process:${processId}:`
  if (!key.startsWith(prefix)) return
  const rest = key.slice(prefix.length)
  if (!reservedKey.test(rest) || rest === `terminal:${eventType}`) return
  const reason = `keys of this form are used by the registry alone: ${key}`
  throw new InvalidInputError({ subject: 'append request', field: 'replay.key', reason })
}

const reservedKey = /^(terminal|first-started|wait|external-ref|abandon-requested|step|adopted)(:|$)/
