import { assign, setup } from 'xstate'
import { ChartTable, type Place } from './chart-table.js'

/** The context of the chart of an MCP task: its questions by their keys. */
export interface McpTaskContext {
  readonly open: readonly string[]
  /** Questions that have been answered. A key is never used for another question of the same task. */
  readonly answered: readonly string[]
}

/** What can happen to an MCP task. */
export type McpTaskMove =
  | { readonly type: 'ask' | 'answer'; readonly key: string }
  | { readonly type: 'complete' | 'fail' | 'cancel' }

/** The statuses of an MCP task. */
export const mcpTaskStatuses = ['working', 'input_required', 'completed', 'failed', 'cancelled'] as const
export type McpTaskStatus = (typeof mcpTaskStatuses)[number]

const ends = { complete: 'completed', fail: 'failed', cancel: 'cancelled' } as const

/**
 * The life of a task of the Model Context Protocol, as hosts see it: it works, asks questions and continues, and ends
 * once (M-10). The task is stored as a process; the chart decides which of the process's events change what hosts are
 * told.
 */
export const mcpTaskMachine = setup({
  types: { context: {} as McpTaskContext, events: {} as McpTaskMove },
  guards: {
    isNew: ({ context: { open, answered }, event }) =>
      'key' in event && !open.includes(event.key) && !answered.includes(event.key),
    isOpen: ({ context: { open }, event }) => 'key' in event && open.includes(event.key),
    isLast: ({ context: { open }, event }) => 'key' in event && open.length === 1 && open[0] === event.key,
  },
  actions: {
    open: assign(({ context: { open }, event }) => ('key' in event ? { open: [...open, event.key] } : {})),
    settle: assign(({ context: { open, answered }, event }) =>
      'key' in event ? { open: open.filter((key) => key !== event.key), answered: [...answered, event.key] } : {},
    ),
  },
}).createMachine({
  id: 'mcp-task',
  description: 'The life of a Model Context Protocol task, as its hosts see it.',
  context: { open: [], answered: [] },
  initial: 'working',
  states: {
    working: {
      on: { ask: { guard: 'isNew', actions: 'open', target: 'input_required' }, ...ends },
    },
    input_required: {
      description: 'At least one question is open.',
      on: {
        ask: { guard: 'isNew', actions: 'open' },
        answer: [
          { guard: 'isLast', actions: 'settle', target: 'working' },
          { guard: 'isOpen', actions: 'settle' },
        ],
        ...ends,
      },
    },
    completed: { type: 'final', description: 'Ended with a result, which may report that the tool failed.' },
    failed: { type: 'final', description: 'Ended by a protocol error, or because the server lost the work.' },
    cancelled: { type: 'final' },
  },
})

/** The chart for tasks that are read from the log of their process. */
export const mcpTaskChart = new ChartTable(mcpTaskMachine)

/** The place of an MCP task. */
export type McpTaskPlace = Place<typeof mcpTaskMachine>

/** The initial place. */
export const initialMcpTask: McpTaskPlace = { value: 'working', context: { open: [], answered: [] } }
