import { assign, setup, type ActorRefFrom, type PromiseActorLogic } from 'xstate'
import { StatewardError } from '../src/base/errors.js'

/** Milliseconds until a held completion is looked at again for the first time (O-88). */
export const firstRePollMs = 25
/** Milliseconds until it is looked at again, at most. */
export const longestRePollMs = 1000

/** Why a completion that is worth waking for has to wait. */
export type HoldReason = 'not_quiescent' | 'injection_failed'

/** What the loop knows of the completions it holds back. */
export interface Hold {
  readonly reason: HoldReason
  /** The feed stood here when the hold was last confirmed; anything beyond is worth another look at once. */
  readonly watermark: number
  /** Milliseconds until the next look; 0 starts the ladder again. */
  readonly delay: number
  /** Reasons that have been reported in this hold. */
  readonly warned: readonly HoldReason[]
}

/** One look at the feed: every row up to `watermark` was seen, these are worth waking for. */
export interface FeedSurvey {
  readonly watermark: number
  /** Sequences, ascending. */
  readonly candidates: readonly number[]
}

/** Where the two cursors of the loop stand. */
export interface IdleWakeCursors {
  readonly observed: number
  readonly injected: number
}

/** Why an idle-wake loop ended; only `asked` is its owner's doing. */
export type IdleWakeStop =
  | { readonly reason: 'asked' | 'lost_ownership' }
  /** `cause` is the `feed_gap` error, or what kept the loop from reading or moving on. */
  | { readonly reason: 'gap' | 'fault'; readonly cause: unknown }

/** What an idle-wake loop remembers. */
export interface IdleWakeContext extends IdleWakeCursors {
  readonly survey: FeedSurvey
  readonly hold: Hold | undefined
  readonly stop: IdleWakeStop
}

/** What happens to an idle-wake loop from outside. */
export type IdleWakeEvent =
  /** The executor did something: what is held is looked at again now, and the ladder starts again. */
  { readonly type: 'queue_drained' } | { readonly type: 'stop' }

/** The I/O of the loop; none of it stands in the chart. */
export type IdleWakeActors = {
  /** Resolves once the feed stands beyond the cursor. */
  readonly advance: PromiseActorLogic<number, { readonly cursor: number }>
  /** Reads the feed once; rejects with `feed_gap` rather than skipping rows nobody saw. */
  readonly survey: PromiseActorLogic<FeedSurvey, { readonly after: number }>
  /** Offers one continuation for all candidates; false refuses it. */
  readonly inject: PromiseActorLogic<boolean, FeedSurvey>
  /** Moves cursors and resolves with where they stand. */
  readonly moveCursors: PromiseActorLogic<IdleWakeCursors, Partial<IdleWakeCursors>>
  /** Works off what is queued; resolves when the queue is empty. */
  readonly processQueue: PromiseActorLogic<void>
}

function nextDelay(hold: Hold | undefined, reason: HoldReason): number {
  if (hold === undefined || hold.reason !== reason || hold.delay === 0) return firstRePollMs
  return Math.min(2 * hold.delay, longestRePollMs)
}

/**
 * Wakes an idle runtime when background work has ended (O-77): one continuation for all
 * completions of a batch. Completions that cannot be delivered now stay visible and are looked at again
 * on a ladder of delays instead of in a spin (O-88). Cursors move only while the loop owns
 * its runtime, and never across a gap.
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
    /** The host answers the next two. */
    ownershipIsLost: () => false,
    isQuiescent: () => true,
    foundNothing: (_, { candidates }: FeedSurvey) => candidates.length === 0,
    wasAccepted: (_, isAccepted: boolean) => isAccepted,
    metGap: (_, { cause }: { readonly cause: unknown }) => StatewardError.is(cause, 'feed_gap'),
  },
  actions: {
    keepSurvey: assign({ survey: (_, survey: FeedSurvey) => survey }),
    /** Never backwards, whatever the registry answers: a cursor that stands still would make the loop spin. */
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
    /** The host reports the next two, the first once per reason: it runs before the reason is kept. */
    reportHold: (_, _reason: HoldReason) => {},
    reportFailure: (_, _failure: { readonly cause: unknown }) => {},
  },
  delays: { rePoll: ({ context }) => context.hold?.delay ?? firstRePollMs },
}).createMachine({
  id: 'idle-wake',
  description: 'Wakes an idle runtime for completions, once each, and holds back while it is busy.',
  context: ({ input: { observed, injected } }) => {
    // Not from the watermark, so that what completed before the loop began is not skipped.
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
      description: 'Everything seen has been dealt with.',
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
      description: 'Nothing to wake for: the rows are passed over, which keeps them from being read for ever.',
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
      description: 'The continuation was accepted: both cursors move before the queue is worked off.',
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
      description: 'What completes meanwhile is seen when the queue is empty.',
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
      description: 'Both cursors stay, so that the rows remain visible.',
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

/** A running idle-wake loop. */
export type IdleWakeActor = ActorRefFrom<typeof idleWakeMachine>
