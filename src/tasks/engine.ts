import * as v from 'valibot'
import type { Place, Selection } from '../../machines/chart-table.js'
import { engineChart, type EngineEvent, type engineMachine } from '../../machines/engine.js'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { TaskError } from './errors.js'
import { optionalTime, timed } from './scalars.js'

/** Whether runs are promoted and dispatched. */
export interface Engine {
  readonly paused: boolean
  readonly pausedAtMs?: number
  readonly resumedAtMs?: number
}

/** The tables defined in this file. */
export interface EngineRows {
  /** Empty until the engine is first paused. */
  readonly engine: Table<'engine', Engine>
}

/** The reads defined in this file. */
export interface EngineReads {
  readonly engine: Engine
}

/** The engine before it was ever paused. */
export const runningEngine: Engine = { paused: false }

const defineEvent = eventDefiner<EngineRows, EngineReads>()
const defineCommand = commandDefiner<EngineReads>()
const defineRow = rowDefiner<EngineRows, EngineReads>()

/** Stops promotion and dispatch. */
export const enginePaused = defineEvent('engine_paused', {
  fields: timed,
  evolve: (draft, { atMs, sequence }) => {
    const { engine } = draft.view
    const next = moved(engine, { type: 'pause', atMs })
    if (next === undefined) {
      throw new TaskError('replay_already_paused', {
        sequence,
        firstPausedAtMs: engine.pausedAtMs,
        duplicatePausedAtMs: atMs,
      })
    }
    draft.put(draft.tables.engine, 'engine', next)
  },
})

/** Resumes promotion and dispatch. */
export const engineResumed = defineEvent('engine_resumed', {
  fields: timed,
  evolve: (draft, { atMs, sequence }) => {
    const { engine } = draft.view
    const next = moved(engine, { type: 'resume', atMs })
    if (next === undefined) {
      if (!engine.paused) throw new TaskError('replay_not_paused', { sequence, attemptedResumedAtMs: atMs })
      const pausedAtMs = engine.pausedAtMs ?? 0
      throw new TaskError('replay_resume_before_pause', { sequence, pausedAtMs, resumedAtMs: atMs })
    }
    draft.put(draft.tables.engine, 'engine', next)
  },
})

/** Checks: not paused. */
export const enginePause = defineCommand('engine_pause', {
  fields: timed,
  decide: ({ engine }, { atMs }, sequence) => {
    if (!select(engine, { type: 'pause', atMs }).isTaken) throw new TaskError('engine_already_paused', {})
    return { event: enginePaused.create(sequence, { atMs }), applied: { type: 'engine_pause' } as const }
  },
})

/** Checks: paused; not resumed before the pause. */
export const engineResume = defineCommand('engine_resume', {
  fields: timed,
  decide: ({ engine }, { atMs }, sequence) => {
    const { isTaken, guard } = select(engine, { type: 'resume', atMs })
    if (guard === 'followsPause') {
      throw new TaskError('resume_before_pause', { pausedAtMs: engine.pausedAtMs ?? 0, resumedAtMs: atMs })
    }
    if (!isTaken) throw new TaskError('engine_not_paused', {})
    return { event: engineResumed.create(sequence, { atMs }), applied: { type: 'engine_resume' } as const }
  },
})

/** The snapshot row of the engine, if it was ever paused. */
export const engineRow = defineRow('engine', {
  fields: { paused: v.boolean(), pausedAtMs: optionalTime, resumedAtMs: optionalTime },
  capture: ({ engine }) => engine.rows(),
  restore: (draft, engine) => {
    checkStored(engine)
    draft.put(draft.tables.engine, 'engine', engine)
  },
})

function checkStored({ paused, pausedAtMs, resumedAtMs }: Engine): void {
  const fail = (reason: string): never => {
    throw new TaskError('snapshot_engine', { reason })
  }
  if (paused && pausedAtMs === undefined) fail('paused without a time')
  if (paused && resumedAtMs !== undefined) fail('paused and resumed')
  if (!paused && (pausedAtMs === undefined) !== (resumedAtMs === undefined)) fail('a pause and its resume go together')
  if (pausedAtMs === undefined || resumedAtMs === undefined) return
  const resume = select({ paused: true, pausedAtMs }, { type: 'resume', atMs: resumedAtMs })
  if (!resume.isTaken) fail('resumed before it was paused')
}

/** The engine chart's decision on an event. */
function select(engine: Engine, event: EngineEvent): Selection {
  return engineChart.select(placeOf(engine), event)
}

/** The engine after an event; `undefined` if the chart refuses it. */
function moved(engine: Engine, event: EngineEvent): Engine | undefined {
  const next = engineChart.move(placeOf(engine), event)
  if (next === undefined) return undefined
  const { pausedAtMs, resumedAtMs } = next.context
  return {
    paused: next.value === 'paused',
    ...(pausedAtMs !== undefined && { pausedAtMs }),
    ...(resumedAtMs !== undefined && { resumedAtMs }),
  }
}

function placeOf({ paused, pausedAtMs, resumedAtMs }: Engine): Place<typeof engineMachine> {
  return { value: paused ? 'paused' : 'running', context: { pausedAtMs, resumedAtMs } }
}
