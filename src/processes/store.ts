import type { JsonValue } from '../base/json.js'
import type { AppendRequest, AppendResult, ProcessEvent, WakeDelivery } from './event.js'
import type { ProcessHub } from './hub.js'
import type { GrantEntry, HandleDescriptor, HandleGrant, SessionDeleteReport } from './grant.js'
import type { ClaimOutcome, LeaseCompletion, LeaseOwner, LivenessCheck, ProcessLease } from './lease.js'
import type { ProcessListFilter } from './list-filter.js'
import type { AwaitOutput } from './output.js'
import type { ChangeCursor, ChangePage, PruneOptions, PruneReport } from './pruning.js'
import type { AbandonRequest, ExternalRef, ProcessRecord, WaitState } from './record.js'
import type { ProcessRegistration } from './registration.js'
import type { ProcessId } from './scalars.js'
import type { SessionScope } from './scope.js'
import type { TerminalProcessStatus } from './vocabulary.js'

/** Whether stored data survives the Node process. */
export type DurabilityTier = 'inline' | 'durable'

/**
 * Who changes the processes of a store. `this_hub`: only this object, so its hub reports every change. `many`: others
 * too, so waits must poll.
 */
export type StoreWriters = 'this_hub' | 'many'

/** The authority to end a process without a lease. */
export type CompletionRight =
  | { readonly type: 'external_owner' }
  /** An engine that runs the process under its id. */
  | { readonly type: 'workflow_key'; readonly key: string }
  | { readonly type: 'reconciled_abandon' }

/**
 * The result of a completion. `already_applied`: the process had already ended with an equal output. `superseded`: it
 * had ended differently, as the record shows.
 */
export interface CompletionOutcome {
  readonly outcome: 'committed' | 'already_applied' | 'superseded'
  readonly record: ProcessRecord
}

/** Options of a write made while working on a process. */
export interface WriteOptions {
  /**
   * The lease that the work holds. The write is refused with `process.lease_superseded` unless it is the current lease.
   */
  readonly lease?: ProcessLease
}

/** Who starts executing a process. */
export interface StartRequest {
  readonly owner: LeaseOwner
  readonly startedAtMs: number
}

/** The result of claiming and starting a process. */
export type ClaimAndStartOutcome =
  | { readonly outcome: 'started'; readonly lease: ProcessLease; readonly record: ProcessRecord }
  /** Another holder has the process. */
  | { readonly outcome: 'busy'; readonly holder: ProcessLease }
  /** The process has already ended. It was not claimed. */
  | { readonly outcome: 'ended'; readonly record: ProcessRecord }

/** The result of one step of a process, or its error. */
export type StepResult =
  | { readonly name: string; readonly ordinal: number; readonly result: JsonValue }
  | { readonly name: string; readonly ordinal: number; readonly error: JsonValue }

/** Whether and how a process has ended, read without the rest of its record. */
export type TerminalState =
  | { readonly state: 'running' }
  | { readonly state: 'ended'; readonly status: TerminalProcessStatus; readonly output: AwaitOutput }
  /** It was pruned, and its tombstone still exists. */
  | { readonly state: 'pruned'; readonly terminalLabel: TerminalProcessStatus; readonly prunedAtMs: number }
  | { readonly state: 'unknown' }

/** The changes that other hosts of a store announce. Announcements are only hints, and may be lost. */
export interface ProcessAnnouncements {
  /** Calls back until the result is disposed. `onConnect` is called whenever announcements may have been missed. */
  listen(onChange: (processId: ProcessId) => void, onConnect: () => void): AsyncDisposable
}

/** The position of a scan for work. Opaque, and valid only for its store. */
export type WorkCursor = string

/** One page of a scan for work. */
export interface WorkPage {
  /** Ordered by id. */
  readonly records: readonly ProcessRecord[]
  /** The cursor of the next page. Absent at the end of the scan. */
  readonly next?: WorkCursor
}

/** An event with an unacknowledged wake. */
export interface PendingWake {
  readonly event: ProcessEvent
  readonly delivery: WakeDelivery
}

/** A scan of pending wakes continues after this event. */
export interface WakePosition {
  readonly processId: ProcessId
  readonly sequence: number
}

/**
 * A store of processes: the port that every store implements.
 *
 * A store only holds state: no method waits for a change, follows changes or notifies of them. Every change of a
 * process is one transaction under the lock of that process, so its events are numbered without gaps and seen in order.
 * Returned values are frozen. Malformed input is refused with `invalid_input` naming the field, before anything is
 * read. An unknown id is refused with `process.unknown` unless documented otherwise. A failure of the storage rejects
 * with `store.unavailable` and is never reported as an answer.
 */
export interface ProcessStore {
  /** The kind of store, as named in errors, for instance `memory`. */
  readonly name: string
  readonly writers: StoreWriters
  /** Set only if this object is the sole writer. The store notifies this hub of every change once it is durable. */
  readonly hub?: ProcessHub
  /** Set only if other hosts announce their changes. Waits of a runtime on the store then notice them at once. */
  readonly announcements?: ProcessAnnouncements | undefined
  /** Tells which lease holders are known to be dead. */
  readonly isHolderDead: LivenessCheck

  durabilityTier(): DurabilityTier

  /**
   * Registers a process, or returns the existing one if its registration is equal. Rejects with
   * `process.registration_invalid` and `process.registration_conflict`. Writes no event.
   */
  registerProcess(registration: ProcessRegistration): Promise<ProcessRecord>
  /** Rejects with `process.external_ref_conflict` if a different reference is stored. */
  setExternalRef(processId: ProcessId, ref: ExternalRef, options?: WriteOptions): Promise<ProcessRecord>

  /** Lets a session, or a frame of it, address a process. A new descriptor replaces the old one. */
  grantHandle(scope: SessionScope, processId: ProcessId, descriptor: HandleDescriptor): Promise<HandleGrant>
  /** Does nothing if there is no such handle. */
  revokeHandle(scope: SessionScope, processId: ProcessId): Promise<void>
  /** Transfers all handles or none. Rejects with `process.grant_missing` if `from` does not hold one of them. */
  transferHandleGrants(from: SessionScope, to: SessionScope, processIds: readonly ProcessId[]): Promise<void>
  /** Ordered by process id. Empty for an unknown scope. */
  listHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]>
  /** Like `listHandleGrants`, without processes that have ended. */
  listLiveHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]>
  /** False also for an unknown process or scope. */
  hasHandleGrant(scope: SessionScope, processId: ProcessId): Promise<boolean>
  /** Ordered by session, then by scope. */
  handleGrantsForProcess(processId: ProcessId): Promise<readonly HandleGrant[]>
  /** Removes every handle and wake target of a session. Ends no process and writes no event. */
  deleteSessionProcessState(sessionId: string): Promise<SessionDeleteReport>

  /**
   * Appends an event, or returns the existing one under its key. Otherwise rejects with the first that applies of
   * `process.replay_conflict`, `process.event_reserved`, `process.event_undeclared`, `process.event_key_required`,
   * `process.event_payload_invalid` and `process.already_terminal`, and changes nothing.
   */
  appendEvent(processId: ProcessId, request: AppendRequest, options?: WriteOptions): Promise<AppendResult>
  /** Events after the cursor, in order. 0 is the start. */
  eventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]>
  /** The first event of a type after the cursor. */
  firstEventAfter(processId: ProcessId, eventType: string, cursor: number): Promise<ProcessEvent | undefined>
  /** The number of events of a type up to and including a sequence. */
  countEventsThrough(processId: ProcessId, eventType: string, upTo: number): Promise<number>
  /** The last events, in order. */
  recentEvents(processId: ProcessId, limit: number): Promise<readonly ProcessEvent[]>
  /** Events after the cursor with unacknowledged wakes. */
  wakeEventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]>
  /** Acknowledges a wake. A missing one is no error. */
  ackWake(processId: ProcessId, sequence: number): Promise<void>
  /** Unacknowledged wakes with a target, of all processes, ordered by process and sequence. At most `limit`. */
  pendingWakes(limit: number, after?: WakePosition): Promise<readonly PendingWake[]>

  /**
   * Ends a process without a lease, by default as its external owner. Rejects with `process.completion_unauthorized` if
   * the authority does not suit the disposition.
   */
  completeProcess(processId: ProcessId, output: AwaitOutput, authority?: CompletionRight): Promise<CompletionOutcome>
  /** Ends a process and releases its lease in one change. Rejects with `process.lease_superseded`. */
  completeWithLease(lease: ProcessLease, output: AwaitOutput): Promise<CompletionOutcome>

  /**
   * Records that an execution starts. For a rerunnable process, every higher fencing token counts as another attempt;
   * if none is left, the process ends as abandoned and the call rejects with `process.attempts_exhausted`. An
   * owner-bound process starts once: another fencing token is refused with `process.already_started`. Both need the
   * lease.
   */
  recordFirstStarted(processId: ProcessId, started: StartRequest, options?: WriteOptions): Promise<ProcessRecord>
  /**
   * Claims a process and records that an execution starts, in one change: `claimLease`, then `recordFirstStarted` under
   * the new lease. An ended process is not claimed. Rejects like these two methods, and with
   * `process.disposition_unfit` for an externally owned process; then nothing is claimed.
   */
  claimAndStart(
    processId: ProcessId,
    claimant: LeaseOwner,
    started: StartRequest,
    ttlMs: number,
  ): Promise<ClaimAndStartOutcome>
  /**
   * Records the result of a step of a rerunnable process. If one is already recorded, that one stays and is returned.
   */
  recordStep(lease: ProcessLease, step: StepResult): Promise<StepResult>
  /** The recorded steps, in order. */
  recordedSteps(processId: ProcessId): Promise<readonly StepResult[]>
  /** Records that an owner-bound operating system process continues under a new lease. */
  recordAdoption(lease: ProcessLease, pid: number): Promise<ProcessRecord>
  /** The first request stays. Rejects with `process.abandon_refused` if the process has ended. */
  requestAbandon(processId: ProcessId, request: AbandonRequest): Promise<ProcessRecord>
  /** Rejects with `process.wait_refused` if the process has ended. */
  setWait(processId: ProcessId, wait: WaitState, options?: WriteOptions): Promise<ProcessRecord>
  /** Does nothing if there is no wait. */
  clearWait(processId: ProcessId, options?: WriteOptions): Promise<ProcessRecord>

  /** `undefined` if the process was pruned or never registered. */
  getProcess(processId: ProcessId): Promise<ProcessRecord | undefined>
  getTerminal(processId: ProcessId): Promise<TerminalState>
  /** Ordered by id. */
  listProcesses(filter?: ProcessListFilter): Promise<readonly ProcessRecord[]>
  /** All processes that have not ended, ordered by id. */
  listNonTerminal(): Promise<readonly ProcessRecord[]>
  /**
   * A page of processes that have not ended and are not waiting for anything missing. The first page fixes the greatest
   * id of the scan. A process that exists when the scan begins appears once, unless it ends before. Processes in
   * `except` are left out. Rejects with `process.cursor_invalid`.
   */
  listWork(limit: number, cursor?: WorkCursor, except?: ReadonlySet<ProcessId>): Promise<WorkPage>
  /** When the next timer makes a process workable, in epoch milliseconds. `undefined` if there is none. */
  nextWorkAtMs(): Promise<number | undefined>
  /**
   * Changes after a cursor, each process once with its last change. A page that is not empty advances the cursor, and
   * no change ever appears at or before a cursor already returned. Rejects with `process.cursor_invalid`.
   */
  processesChangedSince(cursor: ChangeCursor, limit: number): Promise<ChangePage>

  claimLease(processId: ProcessId, owner: LeaseOwner, ttlMs: number): Promise<ClaimOutcome>
  /** Takes the lease from the observed holder if it is known to be dead. */
  reclaimLease(
    processId: ProcessId,
    owner: LeaseOwner,
    observedHolder: ProcessLease,
    ttlMs: number,
  ): Promise<ClaimOutcome>
  /** Rejects with `process.lease_superseded` unless this is the current lease. */
  renewLease(lease: ProcessLease, ttlMs: number): Promise<ProcessLease>
  /** Renews many leases in as few changes as possible. Resolves with those that are still held. */
  renewLeases(leases: readonly ProcessLease[], ttlMs: number): Promise<readonly ProcessLease[]>
  /** The stored lease, expired or not. `undefined` if it has no holder. */
  getLease(processId: ProcessId): Promise<ProcessLease | undefined>
  /** Releases a lease. One that is no longer held is no error. */
  completeLease(completion: LeaseCompletion): Promise<void>

  /**
   * Deletes processes that ended before the cutoff with everything that belongs to them, and leaves a tombstone of
   * each.
   */
  pruneTerminal(cutoffMs: number, options: PruneOptions): Promise<PruneReport>
  /**
   * Deletes tombstones from before the cutoff and within the watermark, those of `ids` or all. Resolves with their
   * number.
   */
  compactTombstones(cutoffMs: number, options: Omit<PruneOptions, 'filter'>): Promise<number>
}
