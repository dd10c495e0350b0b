import { assign, setup } from 'xstate'
import { ChartTable, type Place } from './chart-table.js'
import type { MonotonicMs } from './node-vocabulary.js'

/** The context of the freeze gate: until when it is frozen. */
export interface FreezeContext {
  readonly until: MonotonicMs | undefined
}

/** The events of the gate. Time is passed as data. */
export type FreezeMove =
  | { readonly type: 'freeze'; readonly until: MonotonicMs }
  | { readonly type: 'thaw' }
  | { readonly type: 'tick'; readonly at: MonotonicMs }

const thawed: FreezeContext = Object.freeze({ until: undefined })

/** Whether the cluster is frozen (N-36). A freeze is only shortened by a thaw, and ends with a tick. */
export const freezeGateMachine = setup({
  types: { context: {} as FreezeContext, events: {} as FreezeMove },
  guards: {
    isOver: ({ context, event }) => event.type === 'tick' && event.at >= (context.until ?? 0),
  },
  actions: {
    hold: assign(({ context, event }) =>
      event.type === 'freeze' ? { until: Math.max(event.until, context.until ?? event.until) } : {},
    ),
    release: assign(() => thawed),
  },
}).createMachine({
  id: 'freeze-gate',
  description:
    'Whether the cluster is frozen. While it is, nothing is reconciled and only break-glass commands are admitted.',
  context: thawed,
  initial: 'thawed',
  states: {
    thawed: {
      on: {
        freeze: { target: 'frozen', actions: 'hold' },
        thaw: { description: 'Not frozen, so there is nothing to thaw.' },
      },
    },
    frozen: {
      on: {
        freeze: { actions: 'hold' },
        thaw: { target: 'thawed', actions: 'release' },
        tick: { guard: 'isOver', target: 'thawed', actions: 'release' },
      },
    },
  },
})

/** The chart for the gate stored as a row. */
export const freezeGateChart = new ChartTable(freezeGateMachine)

/** The place of the gate. */
export type FreezePlace = Place<typeof freezeGateMachine>

/** The gate is not frozen. */
export const initialFreeze: FreezePlace = Object.freeze({ value: 'thawed', context: thawed })
