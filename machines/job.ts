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
  description: 'One function at work for one owner.',
  context: ({ input }) => input,
  initial: 'working',
  states: {
    working: {
      on: { wait: 'waiting', stop: 'stopping', end: 'ended' },
    },
    waiting: {
      description: 'Waits for something outside: its slot is given back and its time stands still.',
      on: { go_on: 'working', stop: 'stopping', end: 'ended' },
    },
    stopping: {
      description: 'Told to stop: its signal has aborted, and it has a little time to answer.',
      on: { leave_behind: 'left_behind', end: 'ended' },
    },
    left_behind: {
      description: 'Did not answer in time and counts as ended; its code may still run.',
      on: { end: 'ended' },
    },
    ended: { type: 'final' },
  },
})

/** The actor of a job, as inspectors see it. */
export type JobActor = ActorRefFrom<typeof jobMachine>
