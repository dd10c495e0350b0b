import { assign, setup } from 'xstate'
import { ChartTable } from './chart-table.js'

/** The context of the engine chart: epoch milliseconds of the last pause and resume. */
export interface EngineContext {
  readonly pausedAtMs: number | undefined
  readonly resumedAtMs: number | undefined
}

/** The events of the engine. Time is passed as data. */
export type EngineEvent = { readonly type: 'pause' | 'resume'; readonly atMs: number }

/** Whether runs are promoted and dispatched (T-18, T-27). A resume is never earlier than its pause. */
export const engineMachine = setup({
  types: { context: {} as EngineContext, events: {} as EngineEvent },
  guards: {
    followsPause: ({ context, event }) => event.atMs >= (context.pausedAtMs ?? 0),
  },
  actions: {
    notePause: assign({ pausedAtMs: ({ event }) => event.atMs, resumedAtMs: undefined }),
    noteResume: assign({ resumedAtMs: ({ event }) => event.atMs }),
  },
}).createMachine({
  id: 'engine',
  description: 'Whether runs of tasks are promoted and dispatched.',
  context: { pausedAtMs: undefined, resumedAtMs: undefined },
  initial: 'running',
  states: {
    running: { on: { pause: { actions: 'notePause', target: 'paused' } } },
    paused: { on: { resume: { guard: 'followsPause', actions: 'noteResume', target: 'running' } } },
  },
})

/** The chart for the engine stored as a row. */
export const engineChart = new ChartTable(engineMachine)
