import { setup, type ActorRefFrom } from 'xstate'

/** The context of a job, for inspectors. */
export interface JobContext {
  readonly id: string
  readonly kind: string
  readonly displayName: string
}

/** The events of a job. */
export type JobEvent =
  /** It waits for something outside: an answer, a time, the end of other work. */
  | { readonly type: 'wait' }
  /** What it waited for has happened. */
  | { readonly type: 'go_on' }
  /** It is told to stop. */
  | { readonly type: 'stop'; readonly cause: string }
  /** It has not ended within its grace period, and is not waited for any longer. */
  | { readonly type: 'leave_behind' }
  /** Its function has returned or thrown. */
  | { readonly type: 'end' }

/** The states of a job. */
export type JobState = 'working' | 'waiting' | 'stopping' | 'left_behind' | 'ended'

/**
 * One function running for one owner. The chart defines which events are legal; `src/work/job.ts` defines their
 * effect on its signal, its slot and its time limit.
 */
export const jobMachine = setup({
  types: { context: {} as JobContext, input: {} as JobContext, events: {} as JobEvent },
}).createMachine({
  id: 'job',
  description: 'One function running for one owner.',
  context: ({ input }) => input,
  initial: 'working',
  states: {
    working: {
      on: { wait: 'waiting', stop: 'stopping', end: 'ended' },
    },
    waiting: {
      description: 'Waits for something external. Its slot is free meanwhile and its timeout is paused.',
      on: { go_on: 'working', stop: 'stopping', end: 'ended' },
    },
    stopping: {
      description: 'Asked to stop. Its signal has aborted, and it has a short time to comply.',
      on: { leave_behind: 'left_behind', end: 'ended' },
    },
    left_behind: {
      description: 'Did not stop in time and counts as ended, although its code may still be running.',
      on: { end: 'ended' },
    },
    ended: { type: 'final' },
  },
})

/** The actor of a job, as inspectors see it. */
export type JobActor = ActorRefFrom<typeof jobMachine>
