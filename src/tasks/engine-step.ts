import type { Place, Selection } from '../../machines/chart-table.js'
import { engineChart, type EngineEvent, type engineMachine } from '../../machines/engine.js'
import type { Engine } from './view.js'

/** What the engine chart says about an event. */
export function engineSelection(engine: Engine, event: EngineEvent): Selection {
  return engineChart.select(placeOf(engine), event)
}

/** The engine after an event, `undefined` where the chart refuses it. */
export function stepEngine(engine: Engine, event: EngineEvent): Engine | undefined {
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
