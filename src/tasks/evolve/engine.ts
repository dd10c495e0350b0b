import { stepEngine } from '../engine-step.js'
import { TaskError } from '../errors.js'
import type { EventOf } from '../events.js'
import type { Draft } from '../projection/draft.js'

/** Stops promotion and dispatch. */
export function enginePaused(draft: Draft, { timestamp, sequence }: EventOf<'engine_paused'>): void {
  const { engine } = draft.view
  const next = stepEngine(engine, { type: 'pause', timestamp })
  if (next === undefined) {
    throw new TaskError('replay_already_paused', {
      sequence,
      firstPausedAt: engine.pausedAt,
      duplicatePausedAt: timestamp,
    })
  }
  draft.put(draft.tables.engine, 'engine', next)
}

/** Lets promotion and dispatch go on. */
export function engineResumed(draft: Draft, { timestamp, sequence }: EventOf<'engine_resumed'>): void {
  const { engine } = draft.view
  const next = stepEngine(engine, { type: 'resume', timestamp })
  if (next === undefined) {
    if (!engine.paused) throw new TaskError('replay_not_paused', { sequence, attemptedResumedAt: timestamp })
    const pausedAt = engine.pausedAt ?? 0
    throw new TaskError('replay_resume_before_pause', { sequence, pausedAt, resumedAt: timestamp })
  }
  draft.put(draft.tables.engine, 'engine', next)
}
