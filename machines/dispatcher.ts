import { setup, type ActorRefFrom } from 'xstate'

/** The events of a dispatcher. */
export type DispatcherEvent =
  | { readonly type: 'start' }
  /** What an earlier process left behind has been taken back. */
  | { readonly type: 'recovered'; readonly paused: boolean }
  | { readonly type: 'pause' }
  | { readonly type: 'resume' }
  /** `attempts`: how many attempts are starting, running or being finished. */
  | { readonly type: 'drain'; readonly attempts: number }
  | { readonly type: 'attempt_ended'; readonly attempts: number }

/**
 * The life of a dispatcher. It starts anew with every process. Whether the engine is paused is durable and only
 * mirrored here.
 */
export const dispatcherMachine = setup({
  types: { events: {} as DispatcherEvent },
  guards: {
    isEnginePaused: ({ event }) => event.type === 'recovered' && event.paused,
    isIdle: ({ event }) => 'attempts' in event && event.attempts === 0,
  },
}).createMachine({
  id: 'dispatcher',
  description: 'Whether this process promotes and starts runs.',
  initial: 'stopped',
  states: {
    stopped: { on: { start: 'recovering', drain: 'ended' } },
    recovering: {
      description: 'Reclaims what a dead process held, and derives what is not stored.',
      on: { recovered: [{ guard: 'isEnginePaused', target: 'paused' }, { target: 'running' }] },
    },
    running: { description: 'Promotes and starts runs.', on: { pause: 'paused' } },
    paused: {
      description: 'Promotes and starts nothing. Running attempts, leases and cancellations continue.',
      on: { resume: 'running' },
    },
    draining: {
      description: 'Starts nothing more and lets running attempts end.',
      on: { attempt_ended: { guard: 'isIdle', target: 'ended' } },
    },
    ended: { type: 'final' },
  },
  on: { drain: [{ guard: 'isIdle', target: '.ended' }, { target: '.draining' }] },
})

/** The actor of a dispatcher. */
export type DispatcherActor = ActorRefFrom<typeof dispatcherMachine>
