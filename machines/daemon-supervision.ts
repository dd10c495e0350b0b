import { assign, setup } from 'xstate'
import { ChartTable, type Place } from './chart-table.js'
import {
  afterCrash,
  afterCrashLoop,
  afterRun,
  cleanHistory,
  delayOf,
  isCrashLoop,
  type CrashHistory,
} from './crash-history.js'
import type { CrashBackoff, MonotonicMs } from './node-vocabulary.js'

/** The context of the chart of one daemon. */
export interface SupervisionContext extends CrashHistory {
  /** When the gate opens again. */
  readonly gateUntil: MonotonicMs | undefined
  /** When the requested start or stop must have been answered. */
  readonly answerBy: MonotonicMs | undefined
  /** When the daemon is ended by force. A repeated stop does not change it. */
  readonly stopDeadline: MonotonicMs | undefined
}

/** What can happen to a daemon. Observations are accepted in any order. */
export type SupervisionMove =
  | { readonly type: 'start'; readonly at: MonotonicMs; readonly answerBy: MonotonicMs }
  | { readonly type: 'stop'; readonly deadline: MonotonicMs; readonly answerBy: MonotonicMs }
  | {
      readonly type: 'started' | 'exited_cleanly' | 'crashed'
      readonly at: MonotonicMs
      readonly backoff: CrashBackoff
    }
  | { readonly type: 'tick'; readonly at: MonotonicMs }
  | { readonly type: 'force_release' }
  /** Restores what an earlier process left: the gate is closed until then. */
  | { readonly type: 'restore_gate'; readonly until: MonotonicMs; readonly isCrashLooping: boolean }

const fresh: SupervisionContext = Object.freeze({
  ...cleanHistory,
  gateUntil: undefined,
  answerBy: undefined,
  stopDeadline: undefined,
})

/** The request has been answered, or is not waited for any longer. */
const answered = { answerBy: undefined, stopDeadline: undefined }

/**
 * The supervision of one daemon of a node: its state, and whether it may be started (N-66, N-100).
 *
 * Only this chart defines it; reconciliation asks it through {@link supervisionChart}. Signals of the daemon itself
 * are never refused, because they have already happened.
 */
export const daemonSupervisionMachine = setup({
  types: { context: {} as SupervisionContext, events: {} as SupervisionMove },
  guards: {
    isGateOpen: ({ context: { gateUntil }, event }) =>
      gateUntil === undefined || (event.type === 'start' && gateUntil <= event.at),
    isGateOver: ({ context: { gateUntil }, event }) =>
      event.type === 'tick' && gateUntil !== undefined && gateUntil <= event.at,
    isUnanswered: ({ context: { answerBy }, event }) =>
      event.type === 'tick' && answerBy !== undefined && answerBy <= event.at,
    isCrashLoop: ({ context, event }) => event.type === 'crashed' && isCrashLoop(context, event.at, event.backoff),
    wasCrashLooping: ({ event }) => event.type === 'restore_gate' && event.isCrashLooping,
  },
  actions: {
    awaitStart: assign(({ event }) => (event.type === 'start' ? { answerBy: event.answerBy } : {})),
    awaitStop: assign(({ context, event }) =>
      event.type === 'stop' ? { answerBy: event.answerBy, stopDeadline: context.stopDeadline ?? event.deadline } : {},
    ),
    takeAnswer: assign(() => answered),
    giveUpWaiting: assign(() => ({ answerBy: undefined })),
    countStart: assign(({ context, event }) =>
      event.type === 'started' ? { ...afterRun(context, event.at, event.backoff, event.at), gateUntil: undefined } : {},
    ),
    countExit: assign(({ context, event }) =>
      event.type === 'exited_cleanly' ? { ...afterRun(context, event.at, event.backoff), gateUntil: undefined } : {},
    ),
    countCrash: assign(({ context, event }) =>
      event.type === 'crashed'
        ? {
            ...afterCrash(context, event.at, event.backoff),
            gateUntil: event.at + delayOf(context, event.backoff),
          }
        : {},
    ),
    countCrashLoop: assign(({ context, event }) =>
      event.type === 'crashed'
        ? {
            ...afterCrashLoop(context, event.at, event.backoff),
            gateUntil: event.at + event.backoff.crashLoopCooldownMs,
          }
        : {},
    ),
    openGate: assign(() => ({ gateUntil: undefined })),
    forget: assign(() => ({ crashes: cleanHistory.crashes, nextDelayMs: undefined, gateUntil: undefined })),
    closeGate: assign(({ event }) => (event.type === 'restore_gate' ? { gateUntil: event.until } : {})),
  },
}).createMachine({
  id: 'daemon-supervision',
  description: 'One daemon of a node: its state, and whether it may be started.',
  type: 'parallel',
  context: fresh,
  states: {
    lifecycle: {
      initial: 'stopped',
      on: {
        started: { target: '.running', actions: 'takeAnswer' },
        exited_cleanly: { target: '.stopped', actions: 'takeAnswer' },
        crashed: { target: '.stopped', actions: 'takeAnswer' },
      },
      states: {
        stopped: { on: { start: { guard: 'isGateOpen', target: 'starting', actions: 'awaitStart' } } },
        starting: {
          description: 'A start was requested and has not been confirmed yet.',
          on: {
            stop: { target: 'stopping', actions: 'awaitStop' },
            tick: { guard: 'isUnanswered', target: 'stopped', actions: 'takeAnswer' },
          },
        },
        running: { on: { stop: { target: 'stopping', actions: 'awaitStop' } } },
        stopping: {
          description: 'A stop was requested. Without an answer in time it is requested again, with the same deadline.',
          on: { tick: { guard: 'isUnanswered', target: 'running', actions: 'giveUpWaiting' } },
        },
      },
    },
    gate: {
      initial: 'idle',
      on: {
        started: { target: '.idle', actions: 'countStart' },
        exited_cleanly: { target: '.idle', actions: 'countExit' },
        crashed: [
          { guard: 'isCrashLoop', target: '.crash_looping', actions: 'countCrashLoop' },
          { target: '.backing_off', actions: 'countCrash' },
        ],
        force_release: { target: '.idle', actions: 'forget' },
      },
      states: {
        idle: {
          description: 'The daemon may be started.',
          on: {
            restore_gate: [
              { guard: 'wasCrashLooping', target: 'crash_looping', actions: 'closeGate' },
              { target: 'backing_off', actions: 'closeGate' },
            ],
          },
        },
        backing_off: {
          description: 'The daemon has crashed and waits before it restarts. Each crash doubles the delay.',
          on: { tick: { guard: 'isGateOver', target: 'idle', actions: 'openGate' } },
        },
        crash_looping: {
          description: 'The daemon has crashed too often within a short time.',
          on: { tick: { guard: 'isGateOver', target: 'idle', actions: 'openGate' } },
        },
      },
    },
  },
})

/** The chart for daemons stored as rows. */
export const supervisionChart = new ChartTable(daemonSupervisionMachine)

/** The states of a daemon and its gate, and the context of its chart. */
export type SupervisionPlace = Place<typeof daemonSupervisionMachine>

/** Stopped, and free to start. */
export const initialSupervision: SupervisionPlace = Object.freeze({
  value: Object.freeze({ lifecycle: 'stopped', gate: 'idle' }),
  context: fresh,
})
