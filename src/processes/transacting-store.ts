import { decode } from '../base/decode.js'
import { InvalidInputError, isList } from '../base/errors.js'
import { checkFields, textOf } from '../base/options.js'
import { appendCommand } from './append.js'
import { claimAndStartCommand } from './claim-and-start.js'
import type { ProcessCommand } from './command.js'
import { completeCommand, completeWithLeaseCommand, takeAuthority, takeOutput } from './completion.js'
import { takeAppendRequest, type AppendRequest, type AppendResult, type ProcessEvent } from './event.js'
import {
  descriptorSchema,
  type GrantEntry,
  type HandleDescriptor,
  type HandleGrant,
  type SessionDeleteReport,
} from './grant.js'
import { grantCommand, revokeCommand, transferCommand } from './grant-commands.js'
import { claimCommand, releaseCommand, renewCommand, tryRenewCommand } from './lease-commands.js'
import {
  leaseCompletionSchema,
  leaseSchema,
  neverDead,
  ownerSchema,
  type ClaimOutcome,
  type LeaseCompletion,
  type LeaseOwner,
  type LivenessCheck,
  type ProcessLease,
} from './lease.js'
import {
  abandonCommand,
  ackCommand,
  adoptCommand,
  clearWaitCommand,
  externalRefCommand,
  startCommand,
  stepCommand,
  takeStart,
  takeStep,
  waitCommand,
} from './lifecycle.js'
import type { ProcessListFilter } from './list-filter.js'
import type { AwaitOutput } from './output.js'
import type { ChangeCursor, ChangePage, PruneOptions, PruneReport } from './pruning.js'
import {
  abandonRequestSchema,
  externalRefSchema,
  waitSchema,
  type AbandonRequest,
  type ExternalRef,
  type ProcessRecord,
  type WaitState,
} from './record.js'
import { registerCommand } from './register.js'
import { takeRegistration, type ProcessRegistration } from './registration.js'
import { naturalSchema, positiveSchema, take, takeId, takeSequence, type ProcessId } from './scalars.js'
import { scopeSchema, type SessionScope } from './scope.js'
import type {
  ClaimAndStartOutcome,
  CompletionRight,
  CompletionOutcome,
  DurabilityTier,
  PendingWake,
  ProcessStore,
  StartRequest,
  StepResult,
  StoreWriters,
  TerminalState,
  WakePosition,
  WorkCursor,
  WorkPage,
  WriteOptions,
} from './store.js'

/**
 * The common part of stores: checks of input, and the command of every method that changes one process. A subclass adds
 * how commands are run on its rows, and all reads.
 */
export abstract class TransactingStore implements ProcessStore {
  abstract readonly name: string
  abstract readonly writers: StoreWriters
  /** Tells which lease holders are known to be dead. */
  readonly isHolderDead: LivenessCheck

  constructor(isHolderDead: LivenessCheck = neverDead) {
    this.isHolderDead = isHolderDead
  }

  /** Runs a command in one transaction under the lock of its process. */
  protected abstract run<Result>(command: ProcessCommand<Result>): Promise<Result>

  /** Runs commands in one transaction, in order. If one is refused, all are. */
  protected abstract runAll<Result>(commands: readonly ProcessCommand<Result>[]): Promise<readonly Result[]>

  abstract durabilityTier(): DurabilityTier
  abstract listHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]>
  abstract listLiveHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]>
  abstract hasHandleGrant(scope: SessionScope, processId: ProcessId): Promise<boolean>
  abstract handleGrantsForProcess(processId: ProcessId): Promise<readonly HandleGrant[]>
  abstract deleteSessionProcessState(sessionId: string): Promise<SessionDeleteReport>
  abstract eventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]>
  abstract firstEventAfter(processId: ProcessId, eventType: string, cursor: number): Promise<ProcessEvent | undefined>
  abstract countEventsThrough(processId: ProcessId, eventType: string, upTo: number): Promise<number>
  abstract recentEvents(processId: ProcessId, limit: number): Promise<readonly ProcessEvent[]>
  abstract wakeEventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]>
  abstract pendingWakes(limit: number, after?: WakePosition): Promise<readonly PendingWake[]>
  abstract recordedSteps(processId: ProcessId): Promise<readonly StepResult[]>
  abstract getProcess(processId: ProcessId): Promise<ProcessRecord | undefined>
  abstract getTerminal(processId: ProcessId): Promise<TerminalState>
  abstract listProcesses(filter?: ProcessListFilter): Promise<readonly ProcessRecord[]>
  abstract listNonTerminal(): Promise<readonly ProcessRecord[]>
  abstract listWork(limit: number, cursor?: WorkCursor, except?: ReadonlySet<ProcessId>): Promise<WorkPage>
  abstract nextWorkAtMs(): Promise<number | undefined>
  abstract processesChangedSince(cursor: ChangeCursor, limit: number): Promise<ChangePage>
  abstract getLease(processId: ProcessId): Promise<ProcessLease | undefined>
  abstract pruneTerminal(cutoffMs: number, options: PruneOptions): Promise<PruneReport>
  abstract compactTombstones(cutoffMs: number, options: Omit<PruneOptions, 'filter'>): Promise<number>

  async registerProcess(registration: ProcessRegistration): Promise<ProcessRecord> {
    return this.run(registerCommand(takeRegistration(registration)))
  }

  async setExternalRef(processId: ProcessId, ref: ExternalRef, options?: WriteOptions): Promise<ProcessRecord> {
    const taken = take(externalRefSchema, ref, 'external reference')
    return this.run(externalRefCommand(takeId(processId), taken, takeLease(options)))
  }

  async grantHandle(scope: SessionScope, processId: ProcessId, descriptor: HandleDescriptor): Promise<HandleGrant> {
    const taken = take(descriptorSchema, descriptor, 'handle descriptor')
    return this.run(grantCommand(takeScope(scope), takeId(processId), taken))
  }

  async revokeHandle(scope: SessionScope, processId: ProcessId): Promise<void> {
    return this.run(revokeCommand(takeScope(scope), takeId(processId)))
  }

  async transferHandleGrants(from: SessionScope, to: SessionScope, processIds: readonly ProcessId[]): Promise<void> {
    const [giver, taker] = [takeScope(from), takeScope(to)]
    const ids = takeList(processIds, 'process ids').map((id) => takeId(id))
    await this.runAll(ids.map((id) => transferCommand(giver, taker, id)))
  }

  async appendEvent(processId: ProcessId, request: AppendRequest, options?: WriteOptions): Promise<AppendResult> {
    return this.run(appendCommand(takeId(processId), takeAppendRequest(request), takeLease(options)))
  }

  async ackWake(processId: ProcessId, sequence: number): Promise<void> {
    return this.run(ackCommand(takeId(processId), takeSequence(sequence, 'sequence of a wake')))
  }

  async completeProcess(
    processId: ProcessId,
    output: AwaitOutput,
    authority: CompletionRight = { type: 'external_owner' },
  ): Promise<CompletionOutcome> {
    return this.run(completeCommand(takeId(processId), takeOutput(output), takeAuthority(authority)))
  }

  async completeWithLease(lease: ProcessLease, output: AwaitOutput): Promise<CompletionOutcome> {
    return this.run(completeWithLeaseCommand(take(leaseSchema, lease, 'lease'), takeOutput(output)))
  }

  async recordFirstStarted(
    processId: ProcessId,
    started: StartRequest,
    options?: WriteOptions,
  ): Promise<ProcessRecord> {
    return this.run(startCommand(takeId(processId), takeStart(started), takeLease(options)))
  }

  async claimAndStart(
    processId: ProcessId,
    claimant: LeaseOwner,
    started: StartRequest,
    ttlMs: number,
  ): Promise<ClaimAndStartOutcome> {
    const owner = take(ownerSchema, claimant, 'lease owner')
    return this.run(claimAndStartCommand(takeId(processId), owner, takeStart(started), takeTtl(ttlMs)))
  }

  async recordStep(lease: ProcessLease, step: StepResult): Promise<StepResult> {
    return this.run(stepCommand(take(leaseSchema, lease, 'lease'), takeStep(step)))
  }

  async recordAdoption(lease: ProcessLease, pid: number): Promise<ProcessRecord> {
    return this.run(adoptCommand(take(leaseSchema, lease, 'lease'), decode(positiveSchema, pid, 'pid')))
  }

  async requestAbandon(processId: ProcessId, request: AbandonRequest): Promise<ProcessRecord> {
    return this.run(abandonCommand(takeId(processId), take(abandonRequestSchema, request, 'abandon request')))
  }

  async setWait(processId: ProcessId, wait: WaitState, options?: WriteOptions): Promise<ProcessRecord> {
    return this.run(waitCommand(takeId(processId), take(waitSchema, wait, 'wait'), takeLease(options)))
  }

  async clearWait(processId: ProcessId, options?: WriteOptions): Promise<ProcessRecord> {
    return this.run(clearWaitCommand(takeId(processId), takeLease(options)))
  }

  async claimLease(processId: ProcessId, owner: LeaseOwner, ttlMs: number): Promise<ClaimOutcome> {
    const request = { type: 'claim', owner: take(ownerSchema, owner, 'lease owner') } as const
    return this.run(claimCommand(takeId(processId), request, takeTtl(ttlMs)))
  }

  async reclaimLease(
    processId: ProcessId,
    owner: LeaseOwner,
    observedHolder: ProcessLease,
    ttlMs: number,
  ): Promise<ClaimOutcome> {
    const observed = take(leaseSchema, observedHolder, 'observed lease')
    const claimant = take(ownerSchema, owner, 'lease owner')
    const request = { type: 'reclaim', owner: claimant, observed, isDead: this.isHolderDead } as const
    return this.run(claimCommand(takeId(processId), request, takeTtl(ttlMs)))
  }

  async renewLease(lease: ProcessLease, ttlMs: number): Promise<ProcessLease> {
    return this.run(renewCommand(take(leaseSchema, lease, 'lease'), takeTtl(ttlMs)))
  }

  async renewLeases(leases: readonly ProcessLease[], ttlMs: number): Promise<readonly ProcessLease[]> {
    const ttl = takeTtl(ttlMs)
    const taken = takeList(leases, 'leases').map((lease) => take(leaseSchema, lease, 'lease'))
    return taken.length === 0 ? [] : this.renewAll(taken, ttl)
  }

  /** Renews the leases that are still held. A store that can do this in one statement overrides it. */
  protected async renewAll(leases: readonly ProcessLease[], ttlMs: number): Promise<readonly ProcessLease[]> {
    const renewed = await this.runAll(leases.map((lease) => tryRenewCommand(lease, ttlMs)))
    return renewed.filter((lease) => lease !== undefined)
  }

  async completeLease(completion: LeaseCompletion): Promise<void> {
    return this.run(releaseCommand(take(leaseCompletionSchema, completion, 'lease completion')))
  }
}

const writeOptionFields: ReadonlySet<string> = new Set(['lease'])

/** Checks the lease of a write, if there is one. Raises `invalid_input` naming the field. */
export function takeLease(options: WriteOptions | undefined): ProcessLease | undefined {
  if (options === undefined) return undefined
  checkFields('write options', options, writeOptionFields)
  return options.lease === undefined ? undefined : take(leaseSchema, options.lease, 'lease')
}

/** Checks and copies a scope. Raises `invalid_input` naming the field. */
export function takeScope(input: unknown): SessionScope {
  return take(scopeSchema, input, 'session scope')
}

function takeTtl(input: unknown): number {
  return decode(naturalSchema, input, 'lease ttl')
}

function takeList(input: unknown, subject: string): readonly unknown[] {
  if (isList(input)) return input
  throw new InvalidInputError({ subject, field: '$', reason: `not a list: ${textOf(input)}` })
}
