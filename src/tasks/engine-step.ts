import { moveEngine, type EngineEvent, type EngineState } from '../../machines/engine.js'
import type { Engine } from './view.js'

/** The engine after an event, `undefined` where the chart refuses it. */
export function stepEngine({ paused, pausedAt, resumedAt }: Engine, event: EngineEvent): Engine | undefined {
  const next = moveEngine({ state: paused ? 'paused' : 'running', pausedAt, resumedAt }, event)
  return next && engineOf(next)
}

function engineOf({ state, pausedAt, resumedAt }: EngineState): Engine {
  return {
    paused: state === 'paused',
    ...(pausedAt !== undefined && { pausedAt }),
    ...(resumedAt !== undefined && { resumedAt }),
  }
}
