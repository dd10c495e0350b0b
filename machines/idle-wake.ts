import { assign, setup, type ActorRefFrom, type PromiseActorLogic } from 'xstate'
import { StatewardError } from '../src/base/errors.js'

/** Milliseconds until a held completion is checked again for the first time (O-88). */
export const firstRePollMs = 25
/** Maximum of milliseconds until it is checked again. */
export const longestRePollMs = 1000

/** Why a completion that should wake the runtime has to wait. */
export type HoldReason = 'not_quiescent' | 'injection_failed'

/** The state of a hold: completions that cannot be delivered now. */
export interface Hold {
  readonly reason: HoldReason
  /** Watermark of the feed when the hold was last confirmed. Later rows are checked at once. */
  readonly watermark: number
  /** Milliseconds until the next check; 0 restarts the delays. */
  readonly delay: number
  /** Reasons that have been reported during this hold. */
  readonly warned: readonly HoldReason[]
}

/** The result of reading the feed: every row up to `watermark` was read, and `candidates` should wake the runtime. */
export interface FeedSurvey {
  readonly watermark: number
  /** Sequences, ascending. */
  readonly candidates: readonly number[]
}

/** The positions of the loop's two cursors. */
export interface IdleWakeCursors {
  readonly observed: number
  readonly injected: number
}

/** Why an idle-wake loop ended. Only `asked` is its owner's decision. */
export type IdleWakeStop =
  | { readonly reason: 'asked' | 'lost_ownership' }
  /** `cause` is the `feed_gap` error, or the error that kept the loop from reading or advancing. */
  | { readonly reason: 'gap' | 'fault'; readonly cause: unknown }

/** The context of an idle-wake loop. */
export interface IdleWakeContext extends IdleWakeCursors {
  readonly survey: FeedSurvey
  readonly hold: Hold | undefined
  readonly stop: IdleWakeStop
}

/** The events of an idle-wake loop. */
export type IdleWakeEvent =
  /** The host processed its queue: held completions are checked again now, and the delays restart. */
  { readonly type: 'queue_drained' } | { readonly type: 'stop' }

/** The I/O of the loop, which is provided from outside the chart. */
export type IdleWakeActors = {
  /** Resolves once the watermark of the feed exceeds the cursor. */
  readonly advance: PromiseActorLogic<number, { readonly cursor: number }>
  /** Reads the feed once. Rejects with `feed_gap` instead of skipping unread rows. */
  readonly survey: PromiseActorLogic<FeedSurvey, { readonly after: number }>
  /** Offers one continuation for all candidates. Resolves with false if it is refused. */
  readonly inject: PromiseActorLogic<boolean, FeedSurvey>
  /** Moves cursors. Resolves with their positions. */
  readonly moveCursors: PromiseActorLogic<IdleWakeCursors, Partial<IdleWakeCursors>>
  /** Processes the queue. Resolves once it is empty. */
  readonly processQueue: PromiseActorLogic<void>
}

function nextDelay(hold: Hold | undefined, reason: HoldReason): number {
  if (hold === undefined || hold.reason !== reason || hold.delay === 0) return firstRePollMs
  return Math.min(2 * hold.delay, longestRePollMs)
}

/**
 * Wakes an idle runtime when background work has ended (O-77): one continuation for all completions of a batch.
 * Completions that cannot be delivered now stay visible and are checked again after growing delays instead of in a
 * busy loop (O-88). Cursors move only while the loop owns its runtime, and never across a gap.
 */
export const idleWakeMachine = setup({
  types: {
    context: {} as IdleWakeContext,
    input: {} as IdleWakeCursors,
    events: {} as IdleWakeEvent,
    output: {} as IdleWakeStop,
  },
  actors: {} as IdleWakeActors,
  guards: {
    /** The host implements the next two. */
    ownershipIsLost: () => false,
    isQuiescent: () => true,
    foundNothing: (_, { candidates }: FeedSurvey) => candidates.length === 0,
    wasAccepted: (_, isAccepted: boolean) => isAccepted,
    metGap: (_, { cause }: { readonly cause: unknown }) => StatewardError.is(cause, 'feed_gap'),
  },
  actions: {
    keepSurvey: assign({ survey: (_, survey: FeedSurvey) => survey }),
    /** Never backwards, whatever the registry answers: a cursor that does not advance would make the loop spin. */
    keepCursors: assign(({ context }, { observed, injected }: IdleWakeCursors) => ({
      observed: Math.max(observed, context.survey.watermark),
      injected: Math.max(injected, context.injected),
    })),
    hold: assign(({ context: { hold, survey } }, reason: HoldReason) => {
      const warned = [...new Set(hold?.warned).add(reason)]
      return { hold: { reason, watermark: survey.watermark, delay: nextDelay(hold, reason), warned } }
    }),
    restartLadder: assign(({ context: { hold } }) => (hold === undefined ? {} : { hold: { ...hold, delay: 0 } })),
    clearHold: assign({ hold: undefined }),
    keepStop: assign({ stop: (_, stop: IdleWakeStop) => stop }),
    /**
     * The host implements the next two. The first runs before the reason is kept, so that each reason is reported
     * once.
     */
    reportHold: (_, _reason: HoldReason) => {},
    reportFailure: (_, _failure: { readonly cause: unknown }) => {},
  },
  delays: { rePoll: ({ context }) => context.hold?.delay ?? firstRePollMs },
}).createMachine({
  id: 'idle-wake',
  description: 'Wakes an idle runtime once for each completion, and waits while the runtime is busy.',
  context: ({ input: { observed, injected } }) => {
    // Not the watermark, so that completions before the start of the loop are not skipped.
    const start = Math.max(observed, injected)
    return {
      observed: start,
      injected: injected > 0 ? injected : start,
      survey: { watermark: start, candidates: [] },
      hold: undefined,
      stop: { reason: 'asked' },
    }
  },
  initial: 'waiting',
  on: {
    queue_drained: { actions: 'restartLadder' },
    stop: '.stopped',
  },
  output: ({ context }) => context.stop,
  states: {
    waiting: {
      description: 'Every completion seen so far has been handled.',
      invoke: {
        id: 'advance',
        src: 'advance',
        input: ({ context }) => ({ cursor: context.observed }),
        onDone: 'deciding',
        onError: {
          target: 'stopped',
          actions: { type: 'keepStop', params: ({ event }) => ({ reason: 'fault', cause: event.error }) },
        },
      },
    },
    deciding: {
      invoke: {
        id: 'survey',
        src: 'survey',
        input: ({ context }) => ({ after: context.observed }),
        onDone: [
          {
            guard: 'ownershipIsLost',
            target: 'stopped',
            actions: { type: 'keepStop', params: { reason: 'lost_ownership' } },
          },
          {
            guard: { type: 'foundNothing', params: ({ event }) => event.output },
            target: 'observing',
            actions: { type: 'keepSurvey', params: ({ event }) => event.output },
          },
          {
            guard: 'isQuiescent',
            target: 'injecting',
            actions: { type: 'keepSurvey', params: ({ event }) => event.output },
          },
          {
            target: 'holding',
            actions: [
              { type: 'keepSurvey', params: ({ event }) => event.output },
              { type: 'reportHold', params: 'not_quiescent' },
              { type: 'hold', params: 'not_quiescent' },
            ],
          },
        ],
        onError: [
          {
            guard: { type: 'metGap', params: ({ event }) => ({ cause: event.error }) },
            target: 'stopped',
            actions: { type: 'keepStop', params: ({ event }) => ({ reason: 'gap', cause: event.error }) },
          },
          {
            target: 'stopped',
            actions: { type: 'keepStop', params: ({ event }) => ({ reason: 'fault', cause: event.error }) },
          },
        ],
      },
    },
    observing: {
      description: 'Nothing to wake for. The cursor moves past these rows, so that they are not read again.',
      invoke: {
        id: 'observe',
        src: 'moveCursors',
        input: ({ context: { survey } }) => ({ observed: survey.watermark }),
        onDone: {
          target: 'waiting',
          actions: [{ type: 'keepCursors', params: ({ event }) => event.output }, 'clearHold'],
        },
        onError: {
          target: 'stopped',
          actions: { type: 'keepStop', params: ({ event }) => ({ reason: 'fault', cause: event.error }) },
        },
      },
    },
    injecting: {
      invoke: {
        id: 'inject',
        src: 'inject',
        input: ({ context }) => context.survey,
        onDone: [
          {
            guard: 'ownershipIsLost',
            target: 'stopped',
            actions: { type: 'keepStop', params: { reason: 'lost_ownership' } },
          },
          { guard: { type: 'wasAccepted', params: ({ event }) => event.output }, target: 'recording' },
          {
            target: 'holding',
            actions: [
              { type: 'reportHold', params: 'injection_failed' },
              { type: 'hold', params: 'injection_failed' },
            ],
          },
        ],
        onError: {
          target: 'holding',
          actions: [
            { type: 'reportFailure', params: ({ event }) => ({ cause: event.error }) },
            { type: 'reportHold', params: 'injection_failed' },
            { type: 'hold', params: 'injection_failed' },
          ],
        },
      },
    },
    recording: {
      description: 'The continuation was accepted. Both cursors move before the queue is processed.',
      invoke: {
        id: 'record',
        src: 'moveCursors',
        input: ({ context: { survey } }) => ({ injected: survey.watermark, observed: survey.watermark }),
        onDone: {
          target: 'draining',
          actions: [{ type: 'keepCursors', params: ({ event }) => event.output }, 'clearHold'],
        },
        onError: {
          target: 'stopped',
          actions: { type: 'keepStop', params: ({ event }) => ({ reason: 'fault', cause: event.error }) },
        },
      },
    },
    draining: {
      description: 'Completions that arrive meanwhile are read once the queue is empty.',
      invoke: {
        id: 'drain',
        src: 'processQueue',
        onDone: 'waiting',
        onError: {
          target: 'waiting',
          actions: { type: 'reportFailure', params: ({ event }) => ({ cause: event.error }) },
        },
      },
    },
    holding: {
      description: 'Both cursors stay where they are, so that the rows remain visible.',
      invoke: {
        id: 'advance-beyond-hold',
        src: 'advance',
        input: ({ context: { survey, hold } }) => ({ cursor: hold?.watermark ?? survey.watermark }),
        onDone: 'deciding',
        onError: {
          target: 'stopped',
          actions: { type: 'keepStop', params: ({ event }) => ({ reason: 'fault', cause: event.error }) },
        },
      },
      after: { rePoll: 'deciding' },
      on: { queue_drained: { target: 'deciding', actions: 'restartLadder' } },
    },
    stopped: { type: 'final' },
  },
})

/** The actor of an idle-wake loop. */
export type IdleWakeActor = ActorRefFrom<typeof idleWakeMachine>
