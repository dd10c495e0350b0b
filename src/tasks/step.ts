import * as v from 'valibot'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { checkAmount, consume, consumptionSchema } from './budget.js'
import { TaskError } from './errors.js'
import type { RunId } from './ids.js'
import { checkSpent, settle, settlementSchema, type ReservationReads, type ReservationRows } from './reservation.js'
import { knownRun, replayedRun } from './run-commands.js'
import { checkToken, type Run } from './run.js'
import { fenced, idSchema, jsonTextSchema, labelSchema, naturalSchema, ofRun } from './scalars.js'
import { checkNewRow } from './task.js'

/** A step that a run has done, once for all its attempts. An immutable row. */
export interface DurableStep {
  readonly runId: RunId
  /** Its key, unique within the run. */
  readonly key: string
  /** JSON text; absent for `undefined`. */
  readonly output?: string
  /** Version of the code that did it, if the definition states one. */
  readonly codeVersion?: string
  readonly doneAtMs: number
}

/** The tables defined in this file. */
export interface StepRows extends ReservationRows {
  /** By {@link durableKey}. */
  readonly steps: Table<string, DurableStep>
}

/** The reads defined in this file. */
export interface StepReads extends ReservationReads {
  step(runId: RunId, key: string): DurableStep | undefined
}

/** Key of a step or wait in its table. */
export function durableKey(runId: RunId, key: string): string {
  return `${runId}/${key}`
}

const stepEntries = {
  ...ofRun,
  key: labelSchema,
  output: v.exactOptional(jsonTextSchema),
  codeVersion: v.exactOptional(labelSchema),
  /** Reservations replaced by what the step spent of them. */
  settlements: v.exactOptional(v.array(settlementSchema)),
  /** What the step spent without a reservation. */
  consumptions: v.exactOptional(v.array(consumptionSchema)),
}

const defineEvent = eventDefiner<StepRows, StepReads>()
const defineCommand = commandDefiner<StepReads>()
const defineRow = rowDefiner<StepRows, StepReads>()

/** A step is done: its result and its spending in one change. */
export const stepRecorded = defineEvent('step_recorded', {
  fields: stepEntries,
  evolve: (draft, event) => {
    const { runId, key, output, codeVersion, settlements = [], consumptions = [], atMs, sequence } = event
    const run = replayedRun(draft, event)
    if (draft.view.step(runId, key) !== undefined) {
      throw new TaskError('replay_duplicate_event', { sequence, id: durableKey(runId, key) })
    }
    for (const { reservationId, amount } of settlements) settle(draft, reservationId, amount)
    for (const { dimension, amount } of consumptions) consume(draft, run.taskId, dimension, amount)
    draft.put(draft.tables.steps, durableKey(runId, key), {
      runId,
      key,
      ...(output !== undefined && { output }),
      ...(codeVersion !== undefined && { codeVersion }),
      doneAtMs: atMs,
    })
  },
})

/**
 * Checks: run known; an attempt under way; token; not recorded before; what `budget_settle` and `budget_consume` check.
 */
export const stepRecord = defineCommand('step_record', {
  fields: { ...stepEntries, ...fenced },
  check: ({ consumptions = [] }) => {
    for (const { dimension, amount } of consumptions) checkAmount(dimension, amount)
  },
  decide: (view, { type: _, fencingToken, ...payload }, sequence) => {
    const { runId, key, settlements = [], consumptions = [] } = payload
    const run = knownRun(view, runId)
    checkWorkedOn(run, fencingToken)
    if (view.step(runId, key) !== undefined) throw new TaskError('step_already_recorded', { runId, key })
    checkSpent(view, run.taskId, settlements, consumptions)
    return {
      event: stepRecorded.create(sequence, payload),
      applied: { type: 'step_record', runId, key } as const,
    }
  },
})

/** The snapshot row of a step. */
export const stepRow = defineRow('step', {
  fields: {
    runId: idSchema<RunId>(),
    key: labelSchema,
    output: v.exactOptional(jsonTextSchema),
    codeVersion: v.exactOptional(labelSchema),
    doneAtMs: naturalSchema,
  },
  capture: ({ steps }) => steps.rows(),
  restore: (draft, step) => {
    const id = durableKey(step.runId, step.key)
    if (draft.view.run(step.runId) === undefined)
      throw new TaskError('snapshot_unknown_run', { row: 'step', runId: step.runId })
    checkNewRow(draft.view.step(step.runId, step.key), 'step', id)
    draft.put(draft.tables.steps, id, step)
  },
})

/** Raises `no_active_attempt`, or what {@link checkToken} raises: only the current worker may report on a run. */
export function checkWorkedOn(run: Run, fencingToken: number | undefined): void {
  if (run.currentAttemptId === undefined) throw new TaskError('no_active_attempt', { runId: run.id })
  checkToken(run, fencingToken, { isRequired: true })
}
