import { and, assign, not, setup, stateIn } from 'xstate'
import { ChartTable, type Place } from './chart-table.js'
import type { EndAuthority, RecoveryDisposition } from './process-vocabulary.js'

/** The context of the chart of one process. */
export interface ProcessContext {
  readonly disposition: RecoveryDisposition
  /** How often it may be started; unlimited if absent. */
  readonly maxAttempts: number | undefined
  /** Its last start. */
  readonly start: { readonly fencingToken: number; readonly attempt: number } | undefined
  readonly hasExternalRef: boolean
  readonly hasAbandonRequest: boolean
}

/** The end of a process. */
export interface EndMove {
  readonly type: 'complete' | 'fail' | 'cancel' | 'abandon'
  readonly authority: EndAuthority
}

/** What can happen to a process. Each is an event of its log. */
export type ProcessMove =
  | { readonly type: 'append' | 'signal' | 'wait' | 'resume' | 'set_external_ref' | 'request_abandon' }
  | { readonly type: 'record_step' | 'adopt' | 'give_up' }
  | { readonly type: 'start'; readonly fencingToken: number }
  | EndMove

const isRunning = stateIn({ lifecycle: 'running' })

/**
 * The life of one process: it runs, waiting or not, and ends once (P-20).
 *
 * Only this chart defines which events of a process are legal; decisions ask it through {@link processChart} and name
 * a refusal by the guard that failed. Leases are independent of it: the holder of a lease may write, whatever the
 * state of the process.
 */
export const processMachine = setup({
  types: { context: {} as ProcessContext, events: {} as ProcessMove, input: {} },
  guards: {
    isRunning,
    isRerunnable: ({ context }) => context.disposition === 'rerunnable',
    isOwnerBound: ({ context }) => context.disposition === 'owner_bound',
    isHigherFence: ({ context: { start }, event }) =>
      event.type === 'start' && event.fencingToken > (start?.fencingToken ?? 0),
    hasAttemptLeft: ({ context: { maxAttempts, start } }) =>
      maxAttempts === undefined || (start?.attempt ?? 0) < maxAttempts,
    hasExternalRef: ({ context }) => context.hasExternalRef,
    hasAbandonRequest: ({ context }) => context.hasAbandonRequest,
    /**
     * Who may end which process: a lease holder its own, an external owner what it owns, an engine what is executed
     * here.
     */
    isAuthorised: ({ context: { disposition }, event }) => {
      if (!('authority' in event)) return false
      const isExternal = disposition === 'externally_owned'
      switch (event.authority) {
        case 'producer':
          return true
        case 'lease':
          return !isExternal || event.type === 'abandon'
        case 'external_owner':
          return isExternal
        case 'workflow_key':
          return !isExternal
        case 'reconciled_abandon':
          return isExternal && event.type === 'abandon'
      }
    },
  },
  actions: {
    /** The event is in the log, and has no other effect. */
    log: () => {},
    recordStart: assign(({ context: { start }, event }) =>
      event.type === 'start' ? { start: { fencingToken: event.fencingToken, attempt: (start?.attempt ?? 0) + 1 } } : {},
    ),
    keepExternalRef: assign({ hasExternalRef: true }),
    keepAbandonRequest: assign({ hasAbandonRequest: true }),
  },
}).createMachine({
  id: 'process',
  description: 'The life of one process: whether it runs, what it waits for, and how it ends.',
  type: 'parallel',
  context: ({ input }) => ({
    disposition: 'rerunnable',
    maxAttempts: undefined,
    start: undefined,
    hasExternalRef: false,
    hasAbandonRequest: false,
    ...input,
  }),
  on: {
    append: { actions: 'log' },
    set_external_ref: { guard: not('hasExternalRef'), actions: 'keepExternalRef' },
  },
  states: {
    lifecycle: {
      initial: 'running',
      states: {
        running: {
          description: 'May be executed. Waiting is an aspect of running, not a status of its own.',
          initial: 'active',
          on: {
            signal: { actions: 'log' },
            record_step: { guard: 'isRerunnable', actions: 'log' },
            adopt: { guard: 'isOwnerBound', actions: 'log' },
            request_abandon: { guard: not('hasAbandonRequest'), actions: 'keepAbandonRequest' },
            complete: { guard: 'isAuthorised', target: 'completed' },
            fail: { guard: 'isAuthorised', target: 'failed' },
            cancel: { guard: 'isAuthorised', target: 'cancelled' },
            abandon: { guard: 'isAuthorised', target: 'abandoned' },
            give_up: { guard: and(['isRerunnable', not('hasAttemptLeft')]), target: 'abandoned' },
          },
          states: {
            active: { on: { wait: 'waiting' } },
            waiting: {
              description: 'Waits for a signal, a time or another process. A new wait replaces the current one.',
              on: { wait: { actions: 'log' }, resume: 'active' },
            },
          },
        },
        completed: { type: 'final' },
        failed: { type: 'final' },
        cancelled: { type: 'final' },
        abandoned: {
          type: 'final',
          description:
            'Given up, because its owner was lost, it was drained or abandoned on request, or it was tried too often.',
        },
      },
    },
    execution: {
      initial: 'unstarted',
      states: {
        unstarted: {
          description: 'Nobody has started it, so anybody may.',
          on: { start: { guard: 'isRunning', actions: 'recordStart', target: 'started' } },
        },
        started: {
          description: 'Has been started. Only a rerunnable process is started again, by the holder of a later lease.',
          on: {
            start: {
              guard: and(['isRunning', 'isRerunnable', 'isHigherFence', 'hasAttemptLeft']),
              actions: 'recordStart',
            },
          },
        },
      },
    },
  },
})

/** The chart for processes stored as rows. */
export const processChart = new ChartTable(processMachine)

/** The states of a process's regions, and the context of its chart. */
export type ProcessPlace = Place<typeof processMachine>
