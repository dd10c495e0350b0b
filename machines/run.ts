import { and, assign, not, or, setup, stateIn } from 'xstate'
import { ChartTable, type Place } from './chart-table.js'
import type { AttemptId, Lease, RunState } from './run-vocabulary.js'

/** The context of the chart of one run. */
export interface RunContext {
  readonly activeAttemptId: AttemptId | undefined
  /** Number of attempts ever started. */
  readonly attemptCount: number
  /** The ids of the attempts, oldest first. */
  readonly attemptIds: readonly AttemptId[]
  readonly lease: Lease | undefined
}

/** Moves that consist only of the state that they lead to. */
export type PlainRunMove = {
  readonly type: `to_${Exclude<RunState, 'scheduled'>}` | 'suspend' | 'resume' | 'wait' | 'go_on'
}

/** What can happen to a run. */
export type RunMove =
  | PlainRunMove
  | { readonly type: 'start_attempt' | 'finish_attempt'; readonly attemptId: AttemptId }
  | { readonly type: 'acquire_lease'; readonly lease: Lease }
  | { readonly type: 'extend_lease' | 'close_lease'; readonly owner: string; readonly expiresAtMs: number }

/** The highest number of attempts that a run can count: an unsigned 32-bit integer (T-33). */
export const attemptCountLimit = 0xffff_ffff

const isTerminal = or([
  stateIn({ lifecycle: 'completed' }),
  stateIn({ lifecycle: 'failed' }),
  stateIn({ lifecycle: 'cancelled' }),
])
const isReady = stateIn({ lifecycle: 'ready' })
const isLeased = stateIn({ lifecycle: 'leased' })
const isRunning = stateIn({ lifecycle: 'running' })

/**
 * The life of one run: its 17 legal edges, its attempt and its lease (T-141).
 *
 * The regions are independent except where a guard says otherwise. Only this chart defines which moves of a run are
 * legal: decisions, replay and the check of stored rows ask it through {@link runChart}, and name a refusal by the
 * guard that failed. States with the tag `work` are those in which a run may be worked on.
 */
export const runMachine = setup({
  types: { context: {} as RunContext, events: {} as RunMove },
  guards: {
    isFreshAttempt: ({ context, event }) =>
      event.type === 'start_attempt' && !context.attemptIds.includes(event.attemptId),
    canCountAttempt: ({ context }) => context.attemptCount < attemptCountLimit,
    isActiveAttempt: ({ context, event }) =>
      event.type === 'finish_attempt' && event.attemptId === context.activeAttemptId,
    isHeldByOwner: ({ context, event }) => 'owner' in event && event.owner === context.lease?.owner,
    isHeldExpiry: ({ context, event }) => 'expiresAtMs' in event && event.expiresAtMs === context.lease?.expiresAtMs,
    isLaterExpiry: ({ context: { lease }, event }) =>
      'expiresAtMs' in event && lease !== undefined && event.expiresAtMs >= lease.expiresAtMs,
    isAttemptIdle: stateIn({ attempt: 'idle' }),
    isLeaseFree: stateIn({ lease: 'free' }),
    isRunning,
    isTerminal,
    isLeasable: or([isReady, isLeased]),
    isHeartbeating: or([isLeased, isRunning]),
    isLeaseClosable: or([isReady, isLeased, isRunning]),
  },
  actions: {
    openAttempt: assign(({ context, event }) =>
      event.type === 'start_attempt'
        ? {
            activeAttemptId: event.attemptId,
            attemptCount: context.attemptCount + 1,
            attemptIds: [...context.attemptIds, event.attemptId],
          }
        : {},
    ),
    closeAttempt: assign({ activeAttemptId: undefined }),
    holdLease: assign(({ event }) => (event.type === 'acquire_lease' ? { lease: event.lease } : {})),
    extendLease: assign(({ context: { lease }, event }) =>
      event.type === 'extend_lease' && lease !== undefined
        ? { lease: { ...lease, expiresAtMs: event.expiresAtMs } }
        : {},
    ),
    freeLease: assign({ lease: undefined }),
  },
}).createMachine({
  id: 'run',
  description: 'The life of one run of a task: its state, its current attempt and its lease.',
  type: 'parallel',
  context: { activeAttemptId: undefined, attemptCount: 0, attemptIds: [], lease: undefined },
  states: {
    lifecycle: {
      initial: 'scheduled',
      states: {
        scheduled: {
          description: 'Waits for its start time, its dependencies or a trigger.',
          on: { to_ready: 'ready', to_cancelled: 'cancelled' },
        },
        ready: {
          description: 'Eligible for dispatch.',
          tags: 'work',
          on: { to_leased: 'leased', to_cancelled: 'cancelled' },
        },
        leased: {
          description: 'Claimed by an owner but not started. If the lease is lost, the run is ready again.',
          tags: 'work',
          on: {
            to_running: { guard: 'isAttemptIdle', target: 'running' },
            to_ready: { guard: 'isLeaseFree', target: 'ready' },
            close_lease: { guard: and(['isHeldByOwner', 'isHeldExpiry']), target: 'ready' },
            to_cancelled: 'cancelled',
          },
        },
        running: {
          description:
            'Only cancellation leaves this state during an attempt. The lease is released first, unless the run ends.',
          tags: 'work',
          on: {
            to_retry_wait: { guard: and(['isAttemptIdle', 'isLeaseFree']), target: 'retry_wait' },
            suspend: { guard: and(['isAttemptIdle', 'isLeaseFree']), target: 'suspended' },
            to_suspended: { guard: and(['isAttemptIdle', 'isLeaseFree']), target: 'suspended' },
            to_completed: { guard: 'isAttemptIdle', target: 'completed' },
            to_failed: { guard: 'isAttemptIdle', target: 'failed' },
            to_cancelled: 'cancelled',
          },
        },
        retry_wait: {
          description: 'Waits before the next attempt.',
          on: { to_ready: 'ready', to_failed: 'failed', to_cancelled: 'cancelled' },
        },
        suspended: {
          description: 'Preempted and resumable. The attempt does not count.',
          on: { resume: 'ready', to_ready: 'ready', to_cancelled: 'cancelled' },
        },
        completed: { type: 'final' },
        failed: { type: 'final' },
        cancelled: { type: 'final' },
      },
    },
    attempt: {
      initial: 'idle',
      states: {
        idle: {
          on: {
            start_attempt: {
              guard: and(['isRunning', 'isFreshAttempt', 'canCountAttempt']),
              actions: 'openAttempt',
              target: 'active',
            },
          },
        },
        active: {
          always: { guard: not('isRunning'), actions: 'closeAttempt', target: 'idle' },
          on: {
            wait: 'waiting',
            finish_attempt: { guard: and(['isRunning', 'isActiveAttempt']), actions: 'closeAttempt', target: 'idle' },
          },
        },
        waiting: {
          description:
            'The handler is only waiting, durably: its slot is free, its timeout is paused, and losing the process is no loss.',
          always: { guard: not('isRunning'), actions: 'closeAttempt', target: 'idle' },
          on: {
            go_on: 'active',
            finish_attempt: { guard: and(['isRunning', 'isActiveAttempt']), actions: 'closeAttempt', target: 'idle' },
          },
        },
      },
    },
    lease: {
      initial: 'free',
      states: {
        free: { on: { acquire_lease: { guard: 'isLeasable', actions: 'holdLease', target: 'held' } } },
        held: {
          always: { guard: 'isTerminal', actions: 'freeLease', target: 'free' },
          on: {
            extend_lease: {
              guard: and(['isHeartbeating', 'isHeldByOwner', 'isLaterExpiry']),
              actions: 'extendLease',
            },
            close_lease: {
              guard: and(['isLeaseClosable', 'isHeldByOwner', 'isHeldExpiry']),
              actions: 'freeLease',
              target: 'free',
            },
          },
        },
      },
    },
  },
})

/** The chart for runs stored as rows. */
export const runChart = new ChartTable(runMachine)

/** The states of a run's three regions, and the context of its chart. */
export type RunPlace = Place<typeof runMachine>
