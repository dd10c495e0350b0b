import type {
  OperationId,
  OperationOutcome,
  OperationSpec,
  TurnId,
  OperationStatus,
} from '../../../machines/operation-vocabulary.js'
import type {
  CompletionEntry,
  LostOperation,
  OperationSnapshot,
  OperationsSystem,
  WaitAllResult,
  WaitedOutcome,
} from '../../operations/public.js'
import type { Awaitable } from '../awaitable.js'
import type { Reported } from '../comparison.js'

/** An operation as reported by a system under test; every field that it reports must be right. */
export type ReportedOperation = Reported<OperationSnapshot> & {
  readonly id: OperationId
  readonly status: OperationStatus
}

/** A completion as reported by a system under test. */
export type ReportedCompletion = Reported<CompletionEntry> & { readonly operationId: OperationId }

/** The completions of a system under test, from the first. */
export interface ReportedFeed {
  since(cursor: number): Awaitable<{ readonly entries: readonly ReportedCompletion[]; readonly watermark?: number }>
}

/** Reads that a system under test may answer with less than a registry does. */
interface Reads {
  snapshot(id: OperationId): Awaitable<ReportedOperation | undefined>
  listOperations(): Awaitable<readonly ReportedOperation[]>
  completionFeed(): Awaitable<ReportedFeed>
  collectCompleted(): Awaitable<readonly Reported<WaitedOutcome>[]>
  registerWatcher(...given: Parameters<OperationsSystem['registerWatcher']>): Awaitable<Reported<OperationOutcome>>
  waitAll(...given: Parameters<OperationsSystem['waitAll']>): Awaitable<Reported<WaitAllResult>>
  readonly lost: Awaitable<readonly Pick<LostOperation, 'id' | 'status'>[]>
}

/** The members of a registry, with answers given at once or as promises. */
type Answers = {
  readonly [Name in Exclude<keyof OperationsSystem, keyof Reads>]: OperationsSystem[Name] extends (
    ...given: infer Given
  ) => infer Answer
    ? (...given: Given) => Awaitable<Awaited<Answer>>
    : Awaitable<OperationsSystem[Name]>
}

/**
 * The part of {@link OperationsSystem} that a system under test offers, with every answer given at once or as a
 * promise. A registry is one; write your own over HTTP, over a wrapped runtime or over another store. Missing methods
 * are not tested. A refusal is an error with the `code` that the registry would give.
 */
export interface OperationsPort extends Partial<Answers>, Partial<Reads> {
  /**
   * Registers and starts an operation in one call, for systems that do both, as `session.run` does. Its id is always a
   * new one.
   */
  run?(spec: OperationSpec): Awaitable<void>
  /**
   * Runs an operation once there is room for it, and queues it until then. Answers with its outcome when it has ended,
   * and rejects if it never begins. Its id is always a new one.
   */
  queue?(spec: OperationSpec): Awaitable<Reported<OperationOutcome>>
  /** The queued operations, in order of arrival. */
  queued?(): Awaitable<readonly OperationId[]>
  /**
   * Removes an operation that was run by `queue` from the queue: answers `cancelled_in_line`, and `already_ended` from
   * then on.
   */
  cancelQueued?(id: OperationId): Awaitable<string>
  /** Waits until all of these operations have ended, some of which may be queued, and acknowledges the obligation. */
  waitForQueued?(turnId: TurnId, ids: readonly OperationId[]): Awaitable<Reported<WaitAllResult>>
}

/** The name of a method of a port. */
export type OperationsMethod = Exclude<keyof OperationsPort, 'epochId' | 'lost'>
