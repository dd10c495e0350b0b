import { stepEngine } from '../engine-step.js'
import { TaskError } from '../errors.js'
import type { EventOf } from '../events.js'
import type { Draft } from '../projection/draft.js'

/** Stops promotion and dispatch. */
export function enginePaused(draft: Draft, { atMs, sequence }: EventOf<'engine_paused'>): void {
  const { engine } = draft.view
  const next = stepEngine(engine, { type: 'pause', atMs })
  if (next === undefined) {
    throw new TaskError('replay_already_paused', {
      sequence,
      firstPausedAtMs: engine.pausedAtMs,
      duplicatePausedAtMs: atMs,
    })
  }
  draft.put(draft.tables.engine, 'engine', next)
}

/** Lets promotion and dispatch go on. */
export function engineResumed(draft: Draft, { atMs, sequence }: EventOf<'engine_resumed'>): void {
  const { engine } = draft.view
  const next = stepEngine(engine, { type: 'resume', atMs })
  if (next === undefined) {
    if (!engine.paused) throw new TaskError('replay_not_paused', { sequence, attemptedResumedAtMs: atMs })
    const pausedAtMs = engine.pausedAtMs ?? 0
    throw new TaskError('replay_resume_before_pause', { sequence, pausedAtMs, resumedAtMs: atMs })
  }
  draft.put(draft.tables.engine, 'engine', next)
}
