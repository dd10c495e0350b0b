import * as v from 'valibot'
import type { Place, Selection } from '../../machines/chart-table.js'
import { engineChart, type EngineEvent, type engineMachine } from '../../machines/engine.js'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { TaskError } from './errors.js'
import { optionalTime, timed, type Timestamp } from './scalars.js'

/** Whether runs are promoted and dispatched. */
export interface Engine {
  readonly paused: boolean
  readonly pausedAt?: Timestamp
  readonly resumedAt?: Timestamp
}

/** Tables of this file. */
export interface EngineRows {
  /** Empty until the engine is paused for the first time. */
  readonly engine: Table<'engine', Engine>
}

/** Reads of this file. */
export interface EngineReads {
  readonly engine: Engine
}

/** An engine that was never paused. */
export const runningEngine: Engine = { paused: false }

const defineEvent = eventDefiner<EngineRows, EngineReads>()
const defineCommand = commandDefiner<EngineReads>()
const defineRow = rowDefiner<EngineRows, EngineReads>()

/** Stops promotion and dispatch. */
export const enginePaused = defineEvent('engine_paused', {
  fields: timed,
  evolve: (draft, { timestamp, sequence }) => {
    const { engine } = draft.view
    const next = moved(engine, { type: 'pause', timestamp })
    if (next === undefined) {
      throw new TaskError('replay_already_paused', {
        sequence,
        firstPausedAt: engine.pausedAt,
        duplicatePausedAt: timestamp,
      })
    }
    draft.put(draft.tables.engine, 'engine', next)
  },
})

/** Lets promotion and dispatch go on. */
export const engineResumed = defineEvent('engine_resumed', {
  fields: timed,
  evolve: (draft, { timestamp, sequence }) => {
    const { engine } = draft.view
    const next = moved(engine, { type: 'resume', timestamp })
    if (next === undefined) {
      if (!engine.paused) throw new TaskError('replay_not_paused', { sequence, attemptedResumedAt: timestamp })
      const pausedAt = engine.pausedAt ?? 0
      throw new TaskError('replay_resume_before_pause', { sequence, pausedAt, resumedAt: timestamp })
    }
    draft.put(draft.tables.engine, 'engine', next)
  },
})

/** Checks: not paused. */
export const enginePause = defineCommand('engine_pause', {
  fields: timed,
  decide: ({ engine }, { timestamp }, sequence) => {
    if (!select(engine, { type: 'pause', timestamp }).isTaken) throw new TaskError('engine_already_paused', {})
    return { event: enginePaused.create(sequence, { timestamp }), applied: { type: 'engine_pause' } as const }
  },
})

/** Checks: paused; not before the pause. */
export const engineResume = defineCommand('engine_resume', {
  fields: timed,
  decide: ({ engine }, { timestamp }, sequence) => {
    const { isTaken, guard } = select(engine, { type: 'resume', timestamp })
    if (guard === 'followsPause') {
      throw new TaskError('resume_before_pause', { pausedAt: engine.pausedAt ?? 0, resumedAt: timestamp })
    }
    if (!isTaken) throw new TaskError('engine_not_paused', {})
    return { event: engineResumed.create(sequence, { timestamp }), applied: { type: 'engine_resume' } as const }
  },
})

/** The engine, if it was ever paused. */
export const engineRow = defineRow('engine', {
  fields: { paused: v.boolean(), pausedAt: optionalTime, resumedAt: optionalTime },
  capture: ({ engine }) => engine.rows(),
  restore: (draft, engine) => {
    checkStored(engine)
    draft.put(draft.tables.engine, 'engine', engine)
  },
})

function checkStored({ paused, pausedAt, resumedAt }: Engine): void {
  const fail = (reason: string): never => {
    throw new TaskError('snapshot_engine', { reason })
  }
  if (paused && pausedAt === undefined) fail('paused without a time')
  if (paused && resumedAt !== undefined) fail('paused and resumed')
  if (!paused && (pausedAt === undefined) !== (resumedAt === undefined)) fail('a pause and its resume go together')
  if (pausedAt === undefined || resumedAt === undefined) return
  const resume = select({ paused: true, pausedAt }, { type: 'resume', timestamp: resumedAt })
  if (!resume.isTaken) fail('resumed before it was paused')
}

/** What the engine chart says about an event. */
function select(engine: Engine, event: EngineEvent): Selection {
  return engineChart.select(placeOf(engine), event)
}

/** The engine after an event, `undefined` where the chart refuses it. */
function moved(engine: Engine, event: EngineEvent): Engine | undefined {
  const next = engineChart.move(placeOf(engine), event)
  if (next === undefined) return undefined
  const { pausedAt, resumedAt } = next.context
  return {
    paused: next.value === 'paused',
    ...(pausedAt !== undefined && { pausedAt }),
    ...(resumedAt !== undefined && { resumedAt }),
  }
}

function placeOf({ paused, pausedAt, resumedAt }: Engine): Place<typeof engineMachine> {
  return { value: paused ? 'paused' : 'running', context: { pausedAt, resumedAt } }
}
