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

/** Whether what a store holds outlives the process of the system. */
export type DurabilityTier = 'inline' | 'durable'

/**
 * Who changes the processes of a store. `this_hub`: this object alone, so that whoever listens to it hears of every
 * change. `many`: others too, so that a wait has to look again by itself.
 */
export type StoreWriters = 'this_hub' | 'many'

/** By what right somebody without a lease ends a process. */
export type CompletionRight =
  | { readonly type: 'external_owner' }
  /** An engine that runs the process under its id. */
  | { readonly type: 'workflow_key'; readonly key: string }
  | { readonly type: 'reconciled_abandon' }

/**
 * What became of a completion. `already_applied`: it had ended so before, with an equal output. `superseded`: it had ended
 * otherwise, and the record says how.
 */
export interface CompletionOutcome {
  readonly outcome: 'committed' | 'already_applied' | 'superseded'
  readonly record: ProcessRecord
}

/** Options of a write that is part of the work of a process. */
export interface WriteOptions {
  /** The lease it works under: the write is refused with `process.lease_superseded` unless it holds the process now. */
  readonly lease?: ProcessLease
}

/** Who begins to execute a process. */
export interface StartRequest {
  readonly owner: LeaseOwner
  readonly startedAtMs: number
}

/** What became of a claim that was to begin an execution. */
export type ClaimAndStartOutcome =
  | { readonly outcome: 'started'; readonly lease: ProcessLease; readonly record: ProcessRecord }
  /** Somebody else holds the process. */
  | { readonly outcome: 'busy'; readonly holder: ProcessLease }
  /** It has ended already, and nobody holds it for this. */
  | { readonly outcome: 'ended'; readonly record: ProcessRecord }

/** The result of one step of a process, or what it failed with. */
export type StepResult =
  | { readonly name: string; readonly ordinal: number; readonly result: JsonValue }
  | { readonly name: string; readonly ordinal: number; readonly error: JsonValue }

/** What is known of the end of a process, at the cost of its outcome alone. */
export type TerminalState =
  | { readonly state: 'running' }
  | { readonly state: 'ended'; readonly status: TerminalProcessStatus; readonly output: AwaitOutput }
  /** It was pruned, and that is remembered. */
  | { readonly state: 'pruned'; readonly terminalLabel: TerminalProcessStatus; readonly prunedAtMs: number }
  | { readonly state: 'unknown' }

/** Where a scan of what is to be done stands; opaque, and of use in its store alone. */
export type WorkCursor = string

/** Part of a scan of what is to be done. */
export interface WorkPage {
  /** Ordered by id. */
  readonly records: readonly ProcessRecord[]
  /** Asks for what follows; absent when the scan is over. */
  readonly next?: WorkCursor
}

/** An event whose wake was not acknowledged yet. */
export interface PendingWake {
  readonly event: ProcessEvent
  readonly delivery: WakeDelivery
}

/** Where a scan of pending wakes goes on: behind this event. */
export interface WakePosition {
  readonly processId: ProcessId
  readonly sequence: number
}

/**
 * Where processes live: the port that every store implements.
 *
 * It is state alone: no method waits for a change, follows one or tells anybody of one. Every change of one process is one
 * transaction under that process's lock, so that its events are numbered without gaps and seen in order. What is handed
 * out is frozen. Malformed input is refused with `invalid_input` naming the field before anything is read; an id that is
 * not registered with `process.unknown`, where not said otherwise; a failure of the storage is `store.unavailable` and
 * never looks like an answer.
 */
export interface ProcessStore {
  /** Names the kind of store in errors, for instance `memory`. */
  readonly name: string
  readonly writers: StoreWriters
  /** There exactly when this object alone writes: it tells this hub of every change once that is durable. */
  readonly hub?: ProcessHub
  /** Says which holders of leases are dead for certain, as far as the store knows. */
  readonly isHolderDead: LivenessCheck

  durabilityTier(): DurabilityTier

  /**
   * Registers a process, or finds that an equal registration stands already. Rejects with `process.registration_invalid`
   * and `process.registration_conflict`. Writes no event.
   */
  registerProcess(registration: ProcessRegistration): Promise<ProcessRecord>
  /** Rejects with `process.external_ref_conflict` for another reference than the stored one. */
  setExternalRef(processId: ProcessId, ref: ExternalRef, options?: WriteOptions): Promise<ProcessRecord>

  /** Lets a session, or a frame of it, address a process; the last descriptor wins. */
  grantHandle(scope: SessionScope, processId: ProcessId, descriptor: HandleDescriptor): Promise<HandleGrant>
  /** Never fails for what is not there. */
  revokeHandle(scope: SessionScope, processId: ProcessId): Promise<void>
  /** Hands on all of them or none. Rejects with `process.grant_missing` for one that `from` does not hold. */
  transferHandleGrants(from: SessionScope, to: SessionScope, processIds: readonly ProcessId[]): Promise<void>
  /** Ordered by process id; empty for an unknown scope. */
  listHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]>
  /** The same without processes that have ended. */
  listLiveHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]>
  /** False for what is unknown, too. */
  hasHandleGrant(scope: SessionScope, processId: ProcessId): Promise<boolean>
  /** Ordered by session, then by scope. */
  handleGrantsForProcess(processId: ProcessId): Promise<readonly HandleGrant[]>
  /** Takes every handle and wake target of a session away; ends no process and writes no event. */
  deleteSessionProcessState(sessionId: string): Promise<SessionDeleteReport>

  /**
   * Appends an event, or finds that it stands already under its key. Rejects with `process.replay_conflict`,
   * `process.event_reserved`, `process.event_undeclared`, `process.event_key_required`, `process.event_payload_invalid`,
   * `process.already_terminal`, in this order, and changes nothing then.
   */
  appendEvent(processId: ProcessId, request: AppendRequest, options?: WriteOptions): Promise<AppendResult>
  /** Events behind the cursor, in order; 0 is the start. */
  eventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]>
  /** The first event of a type behind the cursor. */
  firstEventAfter(processId: ProcessId, eventType: string, cursor: number): Promise<ProcessEvent | undefined>
  /** How many events of a type there are up to a sequence, inclusive. */
  countEventsThrough(processId: ProcessId, eventType: string, upTo: number): Promise<number>
  /** The last events, in order. */
  recentEvents(processId: ProcessId, limit: number): Promise<readonly ProcessEvent[]>
  /** Events behind the cursor that wake somebody and were not acknowledged. */
  wakeEventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]>
  /** Acknowledges a wake; that there is none is no fault. */
  ackWake(processId: ProcessId, sequence: number): Promise<void>
  /** Wakes of all processes that have a target and were not acknowledged, by process and sequence; at most `limit`. */
  pendingWakes(limit: number, after?: WakePosition): Promise<readonly PendingWake[]>

  /**
   * Ends a process without a lease, by default as its owner outside. Rejects with `process.completion_unauthorized` when
   * the authority does not fit the disposition.
   */
  completeProcess(processId: ProcessId, output: AwaitOutput, authority?: CompletionRight): Promise<CompletionOutcome>
  /** Ends a process and releases its lease in one change. Rejects with `process.lease_superseded`. */
  completeWithLease(lease: ProcessLease, output: AwaitOutput): Promise<CompletionOutcome>

  /**
   * Says that an execution begins. A rerunnable process counts the attempt of every higher fence; one that is used up ends
   * as abandoned, and the call rejects with `process.attempts_exhausted`. An owner-bound one is started once: another fence
   * is `process.already_started`. Both need the lease.
   */
  recordFirstStarted(processId: ProcessId, started: StartRequest, options?: WriteOptions): Promise<ProcessRecord>
  /**
   * Claims a process and says that an execution begins, in one change: `claimLease`, and `recordFirstStarted` under that
   * lease. What has ended is not claimed. Rejects like the two of them, and with `process.disposition_unfit` for what is
   * owned outside; nothing is claimed then.
   */
  claimAndStart(
    processId: ProcessId,
    claimant: LeaseOwner,
    started: StartRequest,
    ttlMs: number,
  ): Promise<ClaimAndStartOutcome>
  /** Keeps the result of a step of a rerunnable process; the first one stays, and is what is returned. */
  recordStep(lease: ProcessLease, step: StepResult): Promise<StepResult>
  /** The steps that are recorded, in order. */
  recordedSteps(processId: ProcessId): Promise<readonly StepResult[]>
  /** Says that an owner-bound process of the operating system goes on under a new lease. */
  recordAdoption(lease: ProcessLease, pid: number): Promise<ProcessRecord>
  /** The first request stays. Rejects with `process.abandon_refused` when the process has ended. */
  requestAbandon(processId: ProcessId, request: AbandonRequest): Promise<ProcessRecord>
  /** Rejects with `process.wait_refused` when the process has ended. */
  setWait(processId: ProcessId, wait: WaitState, options?: WriteOptions): Promise<ProcessRecord>
  /** Changes nothing when there is no wait. */
  clearWait(processId: ProcessId, options?: WriteOptions): Promise<ProcessRecord>

  /** `undefined` for what is not there, pruned or never registered. */
  getProcess(processId: ProcessId): Promise<ProcessRecord | undefined>
  getTerminal(processId: ProcessId): Promise<TerminalState>
  /** Ordered by id. */
  listProcesses(filter?: ProcessListFilter): Promise<readonly ProcessRecord[]>
  /** Everything that has not ended, ordered by id. */
  listNonTerminal(): Promise<readonly ProcessRecord[]>
  /**
   * A page of what has not ended and waits for nothing that is still missing. The first page fixes the greatest id of the
   * scan; what is there when the scan begins comes once, unless it ends first. Processes in `except` are left out. Rejects
   * with `process.cursor_invalid`.
   */
  listWork(limit: number, cursor?: WorkCursor, except?: ReadonlySet<ProcessId>): Promise<WorkPage>
  /** When the next timer makes something workable, epoch milliseconds; `undefined` when none will. */
  nextWorkAtMs(): Promise<number | undefined>
  /**
   * Changes behind a cursor, each process once at its last change. A page that is not empty moves the cursor on, and no
   * change is ever behind a cursor that was handed out before it. Rejects with `process.cursor_invalid`.
   */
  processesChangedSince(cursor: ChangeCursor, limit: number): Promise<ChangePage>

  claimLease(processId: ProcessId, owner: LeaseOwner, ttlMs: number): Promise<ClaimOutcome>
  /** Takes the lease from a holder that was observed and is dead for certain. */
  reclaimLease(
    processId: ProcessId,
    owner: LeaseOwner,
    observedHolder: ProcessLease,
    ttlMs: number,
  ): Promise<ClaimOutcome>
  /** Rejects with `process.lease_superseded` unless the lease holds the process now. */
  renewLease(lease: ProcessLease, ttlMs: number): Promise<ProcessLease>
  /** Renews many in as few changes as it takes; the answer holds those that are still held. */
  renewLeases(leases: readonly ProcessLease[], ttlMs: number): Promise<readonly ProcessLease[]>
  /** The stored lease, expired or not; `undefined` when nobody holds it. */
  getLease(processId: ProcessId): Promise<ProcessLease | undefined>
  /** Releases a lease; one that is not held any more is no fault. */
  completeLease(completion: LeaseCompletion): Promise<void>

  /** Deletes what has ended before the cutoff with all that belongs to it, and leaves a tombstone of each. */
  pruneTerminal(cutoffMs: number, options: PruneOptions): Promise<PruneReport>
  /** Forgets tombstones of before the cutoff that lie within the watermark, of `ids` or all; resolves with their number. */
  compactTombstones(cutoffMs: number, options: Omit<PruneOptions, 'filter'>): Promise<number>
}
