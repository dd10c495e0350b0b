import { setup, type ActorRefFrom } from 'xstate'

/** What a job shows of itself. */
export interface JobContext {
  readonly id: string
  readonly kind: string
  readonly displayName: string
}

/** What happens to a job. */
export type JobEvent =
  /** It waits for something outside: an answer, a time, the end of other work. */
  | { readonly type: 'wait' }
  /** What it waited for is there. */
  | { readonly type: 'go_on' }
  /** It is told to stop. */
  | { readonly type: 'stop'; readonly cause: string }
  /** It has not stopped in the time it had; nobody waits for it any more. */
  | { readonly type: 'leave_behind' }
  /** Its function has returned or thrown. */
  | { readonly type: 'end' }

/** Where a job stands. */
export type JobState = 'working' | 'waiting' | 'stopping' | 'left_behind' | 'ended'

/**
 * One function running for one owner. The chart says which steps a job can take; what they mean for its signal, its slot
 * and its time stands in `src/work/job.ts`.
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

/** The actor of a job, as an inspector sees it. */
export type JobActor = ActorRefFrom<typeof jobMachine>
