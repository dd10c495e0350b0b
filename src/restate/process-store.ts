import * as v from 'valibot'
import { InvalidInputError, StatewardError } from '../base/errors.js'
import { deepFreeze } from '../base/freeze.js'
import { copyJson } from '../base/json-copy.js'
import { ProcessError } from '../processes/errors.js'
import type { AppendRequest, AppendResult, ProcessEvent } from '../processes/event.js'
import type { GrantEntry, HandleDescriptor, HandleGrant, SessionDeleteReport } from '../processes/grant.js'
import {
  neverDead,
  type ClaimOutcome,
  type LeaseCompletion,
  type LeaseOwner,
  type LivenessCheck,
  type ProcessLease,
} from '../processes/lease.js'
import type { ProcessListFilter } from '../processes/list-filter.js'
import type { AwaitOutput } from '../processes/output.js'
import type { ChangeCursor, ChangePage, PruneOptions, PruneReport } from '../processes/pruning.js'
import type { AbandonRequest, ExternalRef, ProcessRecord, WaitState } from '../processes/record.js'
import type { ProcessRegistration } from '../processes/registration.js'
import type { ProcessId } from '../processes/scalars.js'
import type { SessionScope } from '../processes/scope.js'
import type {
  ClaimAndStartOutcome,
  CompletionOutcome,
  CompletionRight,
  DurabilityTier,
  PendingWake,
  ProcessStore,
  StartRequest,
  StepResult,
  TerminalState,
  WakePosition,
  WorkCursor,
  WorkPage,
  WriteOptions,
} from '../processes/store.js'
import { takeRegistration } from '../processes/registration.js'
import type { RestateIngress } from './ingress.js'
import { processesService } from './services.js'
import type { changingVerbs, readingVerbs, StoreAnswer, StoreCall } from './store-object.js'

const answerSchema: v.GenericSchema<unknown, StoreAnswer> = v.object({ value: v.optional(v.unknown()) })

/**
 * The processes of an owner on the engine, as a {@link ProcessStore}. Every method is one call to their object, which
 * runs the same commands as every store. Processes run by workflows are in the same rows, with their record, log, and
 * lease, which does not expire. Lists and scans read all processes of the owner. If the answer to a change is lost, it
 * rejects with `store.unavailable`, as in every store: the change may have been made.
 */
export class RestateProcessStore implements ProcessStore {
  readonly name = 'restate'
  readonly writers = 'many'
  readonly isHolderDead: LivenessCheck
  readonly #owner: string
  readonly #ingress: RestateIngress

  /** @internal */
  constructor(owner: string, ingress: RestateIngress, isHolderDead: LivenessCheck = neverDead) {
    this.#owner = owner
    this.#ingress = ingress
    this.isHolderDead = isHolderDead
  }

  durabilityTier(): DurabilityTier {
    return 'durable'
  }

  registerProcess(registration: ProcessRegistration): Promise<ProcessRecord> {
    return this.#change('registerProcess', [registration])
  }

  setExternalRef(processId: ProcessId, ref: ExternalRef, options?: WriteOptions): Promise<ProcessRecord> {
    return this.#change('setExternalRef', [processId, ref, options])
  }

  grantHandle(scope: SessionScope, processId: ProcessId, descriptor: HandleDescriptor): Promise<HandleGrant> {
    return this.#change('grantHandle', [scope, processId, descriptor])
  }

  revokeHandle(scope: SessionScope, processId: ProcessId): Promise<void> {
    return this.#change('revokeHandle', [scope, processId])
  }

  transferHandleGrants(from: SessionScope, to: SessionScope, processIds: readonly ProcessId[]): Promise<void> {
    return this.#change('transferHandleGrants', [from, to, processIds])
  }

  listHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]> {
    return this.#look('listHandleGrants', [scope])
  }

  listLiveHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]> {
    return this.#look('listLiveHandleGrants', [scope])
  }

  hasHandleGrant(scope: SessionScope, processId: ProcessId): Promise<boolean> {
    return this.#look('hasHandleGrant', [scope, processId])
  }

  handleGrantsForProcess(processId: ProcessId): Promise<readonly HandleGrant[]> {
    return this.#look('handleGrantsForProcess', [processId])
  }

  deleteSessionProcessState(sessionId: string): Promise<SessionDeleteReport> {
    return this.#change('deleteSessionProcessState', [sessionId])
  }

  appendEvent(processId: ProcessId, request: AppendRequest, options?: WriteOptions): Promise<AppendResult> {
    return this.#change('appendEvent', [processId, request, options])
  }

  eventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]> {
    return this.#look('eventsAfter', [processId, cursor])
  }

  firstEventAfter(processId: ProcessId, eventType: string, cursor: number): Promise<ProcessEvent | undefined> {
    return this.#look('firstEventAfter', [processId, eventType, cursor])
  }

  countEventsThrough(processId: ProcessId, eventType: string, upTo: number): Promise<number> {
    return this.#look('countEventsThrough', [processId, eventType, upTo])
  }

  recentEvents(processId: ProcessId, limit: number): Promise<readonly ProcessEvent[]> {
    return this.#look('recentEvents', [processId, limit])
  }

  wakeEventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]> {
    return this.#look('wakeEventsAfter', [processId, cursor])
  }

  ackWake(processId: ProcessId, sequence: number): Promise<void> {
    return this.#change('ackWake', [processId, sequence])
  }

  pendingWakes(limit: number, after?: WakePosition): Promise<readonly PendingWake[]> {
    return this.#look('pendingWakes', [limit, after])
  }

  completeProcess(processId: ProcessId, output: AwaitOutput, authority?: CompletionRight): Promise<CompletionOutcome> {
    return this.#change('completeProcess', [processId, output, authority])
  }

  completeWithLease(lease: ProcessLease, output: AwaitOutput): Promise<CompletionOutcome> {
    return this.#change('completeWithLease', [lease, output])
  }

  recordFirstStarted(processId: ProcessId, started: StartRequest, options?: WriteOptions): Promise<ProcessRecord> {
    return this.#change('recordFirstStarted', [processId, started, options])
  }

  claimAndStart(
    processId: ProcessId,
    claimant: LeaseOwner,
    started: StartRequest,
    ttlMs: number,
  ): Promise<ClaimAndStartOutcome> {
    return this.#change('claimAndStart', [processId, claimant, started, ttlMs])
  }

  recordStep(lease: ProcessLease, step: StepResult): Promise<StepResult> {
    return this.#change('recordStep', [lease, step])
  }

  recordedSteps(processId: ProcessId): Promise<readonly StepResult[]> {
    return this.#look('recordedSteps', [processId])
  }

  recordAdoption(lease: ProcessLease, pid: number): Promise<ProcessRecord> {
    return this.#change('recordAdoption', [lease, pid])
  }

  requestAbandon(processId: ProcessId, request: AbandonRequest): Promise<ProcessRecord> {
    return this.#change('requestAbandon', [processId, request])
  }

  setWait(processId: ProcessId, wait: WaitState, options?: WriteOptions): Promise<ProcessRecord> {
    return this.#change('setWait', [processId, wait, options])
  }

  clearWait(processId: ProcessId, options?: WriteOptions): Promise<ProcessRecord> {
    return this.#change('clearWait', [processId, options])
  }

  getProcess(processId: ProcessId): Promise<ProcessRecord | undefined> {
    return this.#look('getProcess', [processId])
  }

  getTerminal(processId: ProcessId): Promise<TerminalState> {
    return this.#look('getTerminal', [processId])
  }

  listProcesses(filter?: ProcessListFilter): Promise<readonly ProcessRecord[]> {
    return this.#look('listProcesses', [filter])
  }

  listNonTerminal(): Promise<readonly ProcessRecord[]> {
    return this.#look('listNonTerminal', [])
  }

  listWork(limit: number, cursor?: WorkCursor, except?: ReadonlySet<ProcessId>): Promise<WorkPage> {
    return this.#look('listWork', [limit, cursor, except])
  }

  nextWorkAtMs(): Promise<number | undefined> {
    return this.#look('nextWorkAtMs', [])
  }

  processesChangedSince(cursor: ChangeCursor, limit: number): Promise<ChangePage> {
    return this.#look('processesChangedSince', [cursor, limit])
  }

  claimLease(processId: ProcessId, owner: LeaseOwner, ttlMs: number): Promise<ClaimOutcome> {
    return this.#change('claimLease', [processId, owner, ttlMs])
  }

  reclaimLease(
    processId: ProcessId,
    owner: LeaseOwner,
    observedHolder: ProcessLease,
    ttlMs: number,
  ): Promise<ClaimOutcome> {
    return this.#change('reclaimLease', [processId, owner, observedHolder, ttlMs])
  }

  renewLease(lease: ProcessLease, ttlMs: number): Promise<ProcessLease> {
    return this.#change('renewLease', [lease, ttlMs])
  }

  renewLeases(leases: readonly ProcessLease[], ttlMs: number): Promise<readonly ProcessLease[]> {
    return this.#change('renewLeases', [leases, ttlMs])
  }

  getLease(processId: ProcessId): Promise<ProcessLease | undefined> {
    return this.#look('getLease', [processId])
  }

  completeLease(completion: LeaseCompletion): Promise<void> {
    return this.#change('completeLease', [completion])
  }

  pruneTerminal(cutoffMs: number, options: PruneOptions): Promise<PruneReport> {
    return this.#change('pruneTerminal', [cutoffMs, options])
  }

  compactTombstones(cutoffMs: number, options: Omit<PruneOptions, 'filter'>): Promise<number> {
    return this.#change('compactTombstones', [cutoffMs, options])
  }

  #change<Answered>(verb: (typeof changingVerbs)[number], given: readonly unknown[]): Promise<Answered> {
    return this.#ask('change', verb, given)
  }

  #look<Answered>(verb: (typeof readingVerbs)[number], given: readonly unknown[]): Promise<Answered> {
    return this.#ask('look', verb, given)
  }

  async #ask<Answered>(handler: string, verb: string, given: readonly unknown[]): Promise<Answered> {
    if (verb === 'registerProcess') takeRegistration(given[0])
    const args = given.map((arg) => crossing(arg, verb))
    const isHolderDead = verb === 'reclaimLease' && this.isHolderDead(given[2] as ProcessLease, given[1] as LeaseOwner)
    const call: StoreCall = { verb, args, ...(isHolderDead && { isHolderDead }) }
    try {
      const path = [processesService, this.#owner, handler] as const
      return deepFreeze((await this.#ingress.call(path, call, answerSchema)).value) as Answered
    } catch (thrown) {
      if (!StatewardError.is(thrown) || !thrown.code.startsWith('restate.')) throw thrown
      // An engine that is away says nothing about the process.
      const reason = thrown.message
      throw new ProcessError('store.unavailable', { store: this.name, reason }, { cause: thrown })
    }
  }
}

/**
 * The argument as JSON, where `undefined` becomes `null`. Raises `invalid_input` naming a field that JSON would change.
 */
function crossing(arg: unknown, verb: string): unknown {
  if (arg === undefined) return null
  if (arg instanceof Set) return Array.from(arg as ReadonlySet<unknown>)
  // No bound at all is one beyond every sequence.
  if (arg === Number.POSITIVE_INFINITY) return Number.MAX_SAFE_INTEGER
  if (typeof arg === 'object' && arg !== null) return copyJson(arg, verb)
  if (typeof arg !== 'number' || Number.isFinite(arg)) return arg
  throw new InvalidInputError({ subject: verb, field: '$', reason: `not a number that JSON has: ${arg}` })
}
