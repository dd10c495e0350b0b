import { assign, setup } from 'xstate'
import { ChartTable, type Place } from './chart-table.js'
import type { MonotonicMs } from './node-vocabulary.js'

/** What the freeze gate remembers: until when it is frozen. */
export interface FreezeContext {
  readonly until: MonotonicMs | undefined
}

/** What happens to the gate; time arrives as data. */
export type FreezeMove =
  | { readonly type: 'freeze'; readonly until: MonotonicMs }
  | { readonly type: 'thaw' }
  | { readonly type: 'tick'; readonly at: MonotonicMs }

const thawed: FreezeContext = Object.freeze({ until: undefined })

/** Whether the cluster is frozen (N-36). A freeze is never shortened but by a thaw, and ends with a tick. */
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
  description: 'Whether the cluster is frozen: nothing is reconciled, and only what breaks the glass passes.',
  context: thawed,
  initial: 'thawed',
  states: {
    thawed: {
      on: {
        freeze: { target: 'frozen', actions: 'hold' },
        thaw: { description: 'There is nothing to thaw.' },
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

/** The chart for the gate as a row. */
export const freezeGateChart = new ChartTable(freezeGateMachine)

/** Where the gate stands. */
export type FreezePlace = Place<typeof freezeGateMachine>

/** Nothing is frozen. */
export const initialFreeze: FreezePlace = Object.freeze({ value: 'thawed', context: thawed })
