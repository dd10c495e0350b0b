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

/** An operation as a system under test shows it: whatever it says has to be right. */
export type ReportedOperation = Reported<OperationSnapshot> & {
  readonly id: OperationId
  readonly status: OperationStatus
}

/** A completion as a system under test shows it. */
export type ReportedCompletion = Reported<CompletionEntry> & { readonly operationId: OperationId }

/** The completions of a system under test, from the first. */
export interface ReportedFeed {
  since(cursor: number): Awaitable<{ readonly entries: readonly ReportedCompletion[]; readonly watermark?: number }>
}

/** What a system under test shows differently from a registry. */
interface Reads {
  snapshot(id: OperationId): Awaitable<ReportedOperation | undefined>
  listOperations(): Awaitable<readonly ReportedOperation[]>
  completionFeed(): Awaitable<ReportedFeed>
  collectCompleted(): Awaitable<readonly Reported<WaitedOutcome>[]>
  registerWatcher(...given: Parameters<OperationsSystem['registerWatcher']>): Awaitable<Reported<OperationOutcome>>
  waitAll(...given: Parameters<OperationsSystem['waitAll']>): Awaitable<Reported<WaitAllResult>>
  readonly lost: Awaitable<readonly Pick<LostOperation, 'id' | 'status'>[]>
}

/** The members of a registry, whose answers may come at once or as promises. */
type Answers = {
  readonly [Name in Exclude<keyof OperationsSystem, keyof Reads>]: OperationsSystem[Name] extends (
    ...given: infer Given
  ) => infer Answer
    ? (...given: Given) => Awaitable<Awaited<Answer>>
    : Awaitable<OperationsSystem[Name]>
}

/**
 * What a system that is tested offers of {@link OperationsSystem}: as much of it as there is, every answer at once or as a
 * promise. A registry is one; write one over HTTP, over a wrapped runtime or over another store. What it lacks is not
 * tried. What it refuses is an error whose `code` is the one the registry would give.
 */
export interface OperationsPort extends Partial<Answers>, Partial<Reads> {
  /** Registers and starts in one, for systems that do both, as `session.run` does. Its id is always a fresh one. */
  run?(spec: OperationSpec): Awaitable<void>
  /**
   * Runs an operation once there is room for it, in line until then. Answers with its outcome when it has ended, and refuses
   * when it never begins. Its id is always a fresh one.
   */
  queue?(spec: OperationSpec): Awaitable<Reported<OperationOutcome>>
  /** Who stands in line, in the order in which they came. */
  queued?(): Awaitable<readonly OperationId[]>
  /** Takes one that was run by `queue` out of the line: `cancelled_in_line`, and `already_ended` from then on. */
  cancelQueued?(id: OperationId): Awaitable<string>
  /** Waits until all have ended, of which some may be in line, and acknowledges that. */
  waitForQueued?(turnId: TurnId, ids: readonly OperationId[]): Awaitable<Reported<WaitAllResult>>
}

/** Name of a method of a port. */
export type OperationsMethod = Exclude<keyof OperationsPort, 'epochId' | 'lost'>
