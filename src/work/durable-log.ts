import type { JsonValue } from '../base/json.js'

/** What an execution waits for. Instants are epoch milliseconds. */
export type DurableWait =
  /** An answer given under this name, until an instant if there is one. */
  | { readonly type: 'answer'; readonly name: string; readonly untilMs?: number; readonly whom?: string }
  /** A time. */
  | { readonly type: 'time'; readonly untilMs: number }
  /** The end of other work, which is started once, together with the wait. */
  | {
      readonly type: 'call'
      readonly kind: string
      readonly input: JsonValue | undefined
      readonly limits?: CallLimits
    }

/** How often called work may be tried, and for how long. */
export interface CallLimits {
  readonly maxAttempts?: number
  readonly timeoutMs?: number
  /** How often in a row it may be lost. */
  readonly maxLosses?: number
}

/** How a wait ended. */
export type DurableAnswer =
  | { readonly type: 'answered'; readonly value: JsonValue | undefined }
  | { readonly type: 'timed_out' }
  /** The called work ended without a result. */
  | { readonly type: 'failed'; readonly reason: string; readonly message: string; readonly cause?: Error }

/** A step that has been done. */
export interface RecordedStep {
  readonly output: JsonValue | undefined
}

/** A wait that has been begun, by this execution or an earlier one of the same work. */
export interface RecordedWait {
  readonly answer?: DurableAnswer
}

/** Amounts by name, which a step reserves or has spent. The room gives them their meaning. */
export type StepAmounts = Readonly<Record<string, number>>

/** What a room is told when a wait begins. */
export interface WaitStart {
  /** True if the execution does nothing but wait from now on. */
  readonly isWaiting: boolean
}

/** Options of waiting for an answer. */
export interface AwaitedAnswer {
  readonly signal: AbortSignal
  /**
   * Rejects for a value that the execution would not accept, so that the value can be refused before it is recorded.
   */
  readonly check?: (value: unknown) => Promise<void>
}

/**
 * Stores the results of durable work: a port that each room with durable handlers implements on its own rows. Each
 * write carries the lease of its execution; if the lease is lost, it rejects and changes nothing.
 */
export interface DurableLog {
  /** The step recorded under a key. It includes what earlier executions of the same work recorded. */
  stepOf(key: string): RecordedStep | undefined
  /** The wait recorded under a key. */
  waitOf(key: string): RecordedWait | undefined
  /** Every recorded key. */
  keys(): Iterable<string>
  /** Reserves what a step is going to spend, before it is done. Absent in rooms that count nothing. */
  reserveStep?(key: string, amounts: StepAmounts): Promise<void>
  /** Releases the reservation of a step that has thrown. */
  releaseStep?(key: string): Promise<void>
  /**
   * Counts what was spent by a step that was done but whose result is not recorded: `spent`, or by default what it
   * reserved. Never rejects: what cannot be counted now stays reserved.
   */
  settleStep?(key: string, spent: StepAmounts | undefined): Promise<void>
  /**
   * Makes the result of a step durable, together with what it has spent: what it reserved, unless `spent` is given.
   * Resolves once it is durable.
   */
  recordStep(key: string, output: JsonValue | undefined, spent: StepAmounts | undefined): Promise<void>
  /** Makes a wait durable, and starts the work that it calls. Resolves once it is durable. */
  recordWait(key: string, wait: DurableWait, start: WaitStart): Promise<void>
  /**
   * Resolves with the answer to a recorded wait once that is durable, at once if it already is. Rejects with the
   * signal's reason.
   */
  answerTo(key: string, options: AwaitedAnswer): Promise<DurableAnswer>
  /**
   * Reports an answer that was recorded without being checked and that the execution does not accept: its question is
   * asked again. Absent in rooms where an answer is final; the wait then rejects with the refusal.
   */
  answerRefused?(name: string, refusal: Error): void
}
