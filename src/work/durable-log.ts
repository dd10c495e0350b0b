import type { JsonValue } from '../base/json.js'

/** What an execution asks of the world and waits for. Instants are epoch milliseconds. */
export type DurableWait =
  /** An answer that somebody gives under this name, up to an instant if there is one. */
  | { readonly type: 'answer'; readonly name: string; readonly untilMs?: number; readonly whom?: string }
  /** A time. */
  | { readonly type: 'time'; readonly untilMs: number }
  /** The end of other work, started with the wait and once only. */
  | {
      readonly type: 'call'
      readonly kind: string
      readonly input: JsonValue | undefined
      readonly limits?: CallLimits
    }

/** How often and how long work that is called may be tried. */
export interface CallLimits {
  readonly maxAttempts?: number
  readonly timeoutMs?: number
  /** How often in a row it may be lost. */
  readonly maxLosses?: number
}

/** How a wait came to its end. */
export type DurableAnswer =
  | { readonly type: 'answered'; readonly value: JsonValue | undefined }
  | { readonly type: 'timed_out' }
  /** Other work that was called has ended without a result. */
  | { readonly type: 'failed'; readonly reason: string; readonly message: string }

/** A step that was done. */
export interface RecordedStep {
  readonly output: JsonValue | undefined
}

/** A wait that was begun, by an execution of the same work, this one or an earlier one. */
export interface RecordedWait {
  readonly answer?: DurableAnswer
}

/** Amounts by what they are of, which a step sets aside or has spent; a room makes of them what it can. */
export type StepAmounts = Readonly<Record<string, number>>

/** What a room is told of a wait that begins. */
export interface WaitStart {
  /** True when all that the execution does from now on is wait. */
  readonly isWaiting: boolean
}

/** How an execution waits for an answer. */
export interface AwaitedAnswer {
  readonly signal: AbortSignal
  /** Rejects for a value that the execution would not take, so that it can be refused before it is recorded. */
  readonly check?: (value: unknown) => Promise<void>
}

/**
 * Where the results of durable work live: a port that each room with durable handlers implements in its own rows. A write
 * carries the lease of its execution: one that has lost it rejects, and changes nothing.
 */
export interface DurableLog {
  /** The step recorded under a key. What executions of the same work recorded before this one began is there. */
  stepOf(key: string): RecordedStep | undefined
  /** The wait recorded under a key. */
  waitOf(key: string): RecordedWait | undefined
  /** Every key that is recorded. */
  keys(): Iterable<string>
  /** Sets aside what a step is going to spend, before it is done. Absent where nothing is counted. */
  reserveStep?(key: string, amounts: StepAmounts): Promise<void>
  /** Gives back what was set aside for a step that has thrown. */
  releaseStep?(key: string): Promise<void>
  /**
   * Counts what a step has spent that was done although its result is not recorded: what is said, and otherwise what it set
   * aside. Never rejects: what cannot be counted now stays set aside.
   */
  settleStep?(key: string, spent: StepAmounts | undefined): Promise<void>
  /**
   * Makes the result of a step durable, with what it has spent in the same change: what it set aside unless something else
   * is said. Resolves once it is.
   */
  recordStep(key: string, output: JsonValue | undefined, spent: StepAmounts | undefined): Promise<void>
  /** Makes a wait durable, and starts what it calls. Resolves once it is. */
  recordWait(key: string, wait: DurableWait, start: WaitStart): Promise<void>
  /** Resolves with the answer to a recorded wait once that is durable, at once if it is. Rejects with the signal's reason. */
  answerTo(key: string, options: AwaitedAnswer): Promise<DurableAnswer>
  /**
   * Hears of an answer that was recorded while nobody could check it, and that the execution does not take: its question is
   * asked again. Absent where an answer is final; then the wait rejects with the refusal.
   */
  answerRefused?(name: string, refusal: Error): void
}
