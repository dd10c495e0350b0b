import type { CommandOf } from '../commands.js'
import { engineSelection } from '../engine-step.js'
import { TaskError } from '../errors.js'
import type { TaskView } from '../view.js'
import { fact, type Decision } from './decision.js'

/** Checks: not paused. */
export function enginePause(
  { engine }: TaskView,
  { atMs }: CommandOf<'engine_pause'>,
  sequence: number,
): Decision<'engine_pause'> {
  if (!engineSelection(engine, { type: 'pause', atMs }).isTaken) throw new TaskError('engine_already_paused', {})
  return { event: fact(sequence, 'engine_paused', { atMs }), applied: { type: 'engine_pause' } }
}

/** Checks: paused; not before the pause. */
export function engineResume(
  { engine }: TaskView,
  { atMs }: CommandOf<'engine_resume'>,
  sequence: number,
): Decision<'engine_resume'> {
  const { isTaken, guard } = engineSelection(engine, { type: 'resume', atMs })
  if (guard === 'followsPause') {
    throw new TaskError('resume_before_pause', { pausedAtMs: engine.pausedAtMs ?? 0, resumedAtMs: atMs })
  }
  if (!isTaken) throw new TaskError('engine_not_paused', {})
  return { event: fact(sequence, 'engine_resumed', { atMs }), applied: { type: 'engine_resume' } }
}
