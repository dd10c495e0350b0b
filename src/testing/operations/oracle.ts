import type {
  CursorConsumer,
  OperationAction,
  OperationId,
  OperationOutcome,
  OperationSpec,
  OperationStatus,
  TurnId,
} from '../../../machines/operation-vocabulary.js'
import type {
  OracleFeedRow,
  OracleLimits,
  OracleLost,
  OracleOperation,
  OracleWait,
  OracleWatch,
  Verdict,
} from './rows.js'
import { OracleLine } from './oracle-line.js'
import { actionRefusal, ownerRetired, registrationRefusal } from './oracle-refusals.js'
import { OracleWaiters } from './oracle-waiters.js'
import { allBelow, liveBelow } from './oracle-tree.js'
import { isTraceless, live, transitions } from './tables.js'

/** The part of a registry that survives its process. */
interface Durable {
  readonly operations: readonly OracleOperation[]
  readonly feed: readonly OracleFeedRow[]
  readonly cursors: Readonly<Record<CursorConsumer, number>>
  readonly lost: readonly OracleLost[]
  readonly tracedSequence: number
}

/** An end that is decided but not durable. */
interface StagedEnd {
  readonly id: OperationId
  readonly outcome: OperationOutcome
  readonly sequence: number
  /** All ends of a group become visible together, before any of them is reported. */
  group?: number
  /** True for the end of an operation below one that has ended: it is offered until it is durable. */
  readonly isOwed?: boolean
}

const owedReason = 'the operation that it was a part of has ended'
const accepted: Verdict = {}

/**
 * An independent model of one operations registry, written from the tables of docs/spec/operations.md: plain arrays,
 * everything recomputed, nothing shared with the product but the names of types. Slow on purpose. Any difference from
 * the registry is a bug in one of the two.
 */
export class OperationsOracle {
  readonly limits: OracleLimits
  /** False for a registry without a journal: everything is visible at once and nothing survives. */
  readonly isDurable: boolean
  /** The operations that run as soon as there is room. */
  readonly line: OracleLine
  operations: OracleOperation[] = []
  feed: OracleFeedRow[] = []
  cursors: Record<CursorConsumer, number> = { agent_applied: 0, runtime_observed: 0, runtime_injected: 0 }
  lost: OracleLost[] = []
  /** Everyone in this process who waits for ends. */
  readonly waiters = new OracleWaiters()
  /** Every id that was ever registered, in any process. */
  readonly known = new Set<OperationId>()
  owner: 'open' | 'draining' | 'retired' = 'open'
  /** Ends that are decided but not durable, oldest first. */
  staged: StagedEnd[] = []
  /** The last sequence assigned. */
  lastSequence = 0
  /** The last sequence of a journalled end. */
  tracedSequence = 0
  /** True while a fact has been handed to the journal and has not settled. */
  isWriting = false
  /** Owed ends that the journal has not taken, oldest first. */
  #refused: StagedEnd[] = []
  /** True while a visible change has not reached the journal; it is part of the next write. */
  #hasNotes = false
  #durable: Durable
  #groups = 0

  constructor(limits: OracleLimits, { isDurable = true }: { readonly isDurable?: boolean } = {}) {
    this.limits = limits
    this.isDurable = isDurable
    this.line = new OracleLine(this)
    this.#durable = this.#copy()
  }

  /** All watches of this process, including those that were answered. */
  get watches(): readonly OracleWatch[] {
    return this.waiters.watches
  }

  /** All waits of this process, including the active ones. */
  get waits(): readonly OracleWait[] {
    return this.waiters.waits
  }

  /** The active waits, at most one per turn, oldest first. */
  get pendingWaits(): readonly OracleWait[] {
    return this.waiters.pending
  }

  find(id: OperationId): OracleOperation | undefined {
    return this.operations.find((operation) => operation.id === id)
  }

  /** The status on which decisions are based: ends in progress count. */
  statusFor(id: OperationId): OperationStatus | undefined {
    return this.staged.find((end) => end.id === id)?.outcome.type ?? this.find(id)?.status
  }

  /** Whether a record, a feed row or an active wait refers to the id (O-44). */
  isUsed(id: OperationId): boolean {
    return this.find(id) !== undefined || this.waiters.isPinned(id) || this.feed.some((row) => row.operationId === id)
  }

  /** Whether the action would be accepted now. */
  allows(action: OperationAction, id: OperationId): boolean {
    return actionRefusal(this, action, id) === undefined
  }

  liveOperations(): OracleOperation[] {
    return this.operations.filter(({ status }) => live.includes(status))
  }

  register(spec: OperationSpec, limit: number | undefined): Verdict {
    const { id, kind, displayName, sourceLabel, operationSource: source, parentId, outlivesParent = false } = spec
    const refusal = registrationRefusal(this, spec, limit)
    if (refusal !== undefined) return refusal
    this.known.add(id)
    this.operations.push({
      id,
      kind,
      displayName,
      sourceLabel,
      source,
      parentId,
      outlivesParent,
      status: 'provisioning',
      peerReady: false,
      progressCount: 0,
      outcome: undefined,
      sequence: undefined,
      isEvicted: false,
      isOwedAnEnd: false,
    })
    const isResumed = this.lost.some((lost) => lost.id === id)
    this.lost = this.lost.filter((lost) => lost.id !== id)
    this.#note(!isTraceless(kind) || isResumed)
    return accepted
  }

  /** An action that keeps an operation live. */
  advance(action: OperationAction, id: OperationId): Verdict {
    const refusal = actionRefusal(this, action, id)
    if (refusal !== undefined) return refusal
    const operation = this.#get(id)
    operation.status = transitions[operation.status][action] ?? operation.status
    if (action === 'progress_reported') operation.progressCount += 1
    if (action === 'peer_ready') operation.peerReady = true
    this.#note(action === 'start' && !isTraceless(operation.kind))
    return accepted
  }

  /** An action that ends an operation. The end becomes visible with {@link commit}, that of a capacity slot at once. */
  settle(action: OperationAction, id: OperationId, outcome: OperationOutcome): Verdict {
    const refusal = actionRefusal(this, action, id)
    if (refusal !== undefined) return refusal
    const end = this.#mint(id, outcome)
    if (isTraceless(this.#get(id).kind)) {
      this.#end(end)
      this.line.ended(id, outcome)
      this.#endBelow(end)
    } else this.#submit([end])
    return accepted
  }

  /** Ends every live operation, in id order (O-61). */
  terminateOwner(reason: string): Verdict {
    const targets = this.liveOperations().filter(({ id }) => live.includes(this.statusFor(id) ?? ''))
    const ids = targets.map(({ id }) => id).toSorted()
    this.#submit(ids.map((id) => this.#mint(id, { type: 'terminated', reason })))
    return accepted
  }

  /** Collects every ended operation that no active wait names, oldest completion first. */
  collect(): Verdict & { readonly collected?: readonly OracleOperation[] } {
    if (this.owner === 'retired') return ownerRetired
    const collected = this.#ended().filter(({ id }) => !this.waiters.isPinned(id))
    this.#drop(collected)
    this.#note(collected.length > 0)
    return { collected }
  }

  watch(id: OperationId): Verdict & { readonly watch?: OracleWatch } {
    const operation = this.find(id)
    if (operation === undefined) return { refused: 'not_found', data: { id } }
    return { watch: this.waiters.watch(id, operation.outcome) }
  }

  /** O-89. */
  waitAll(turnId: TurnId, members: readonly OperationId[]): Verdict & { readonly wait?: OracleWait } {
    if (this.owner === 'retired') return ownerRetired
    const repeated = members.find((id, index) => members.indexOf(id) < index)
    if (repeated !== undefined) return { refused: 'duplicate_wait_operation', data: { id: repeated } }
    const isWaiting = this.pendingWaits.some((wait) => wait.turnId === turnId)
    if (isWaiting) return { refused: 'wait_already_active', data: {} }
    // An operation without a record is looked up in the feed, which keeps more rows than a model ever has.
    const known = (id: OperationId) => this.find(id) ?? this.feed.find((row) => row.operationId === id)
    const unknown = members.find((id) => known(id) === undefined)
    if (unknown !== undefined) return { refused: 'not_found', data: { id: unknown } }
    const wait = this.waiters.wait(turnId, members, (id) => known(id)?.outcome)
    this.#evict()
    return { wait }
  }

  cancelWait(wait: OracleWait): void {
    if (wait.state !== 'pending') return
    wait.state = 'cancelled'
    this.#evict()
  }

  /** Never lowers the cursor; returns its position. */
  advanceCursor(consumer: CursorConsumer, cursor: number): Verdict & { readonly cursor?: number } {
    if (this.owner === 'retired') return ownerRetired
    this.#note(cursor > this.cursors[consumer])
    this.cursors[consumer] = Math.max(this.cursors[consumer], cursor)
    return { cursor: this.cursors[consumer] }
  }

  forgetLost(ids: readonly OperationId[]): Verdict {
    if (this.owner === 'retired') return ownerRetired
    this.#note(this.lost.some(({ id }) => ids.includes(id)))
    this.lost = this.lost.filter(({ id }) => !ids.includes(id))
    return accepted
  }

  /** Ends in progress become durable: they become visible in order, and everything visible survives from now on. */
  commit(): void {
    this.#showAndEndBelow()
    // The ends that follow from them are written after them.
    if (this.staged.length > 0) this.commit()
  }

  /** Ends in progress become durable, but the process dies before it knows: no watch or wait is notified. */
  commitUnseen(): void {
    this.waiters.unseen(() => {
      for (const { id } of this.#show()) this.#oweEndsBelow(id)
      this.persist()
    })
  }

  /**
   * Ends in progress are lost: they never become visible; what was visible stays. Owed ends among them wait for
   * {@link offerAgain}.
   */
  discard(): void {
    this.lastSequence = (this.staged[0]?.sequence ?? this.lastSequence + 1) - 1
    this.#refused = this.staged.filter(({ isOwed }) => isOwed)
    this.staged = []
    this.isWriting = false
  }

  /** True if owed ends were refused, which are offered again after a pause. */
  get owesEnds(): boolean {
    return this.#refused.length > 0
  }

  /** The pause is over, and the journal takes what it refused. */
  offerAgain(): void {
    for (const together of inGroups(this.#refused.splice(0))) {
      this.#submit(together.map(({ id, outcome }) => ({ ...this.#mint(id, outcome), isOwed: true })))
    }
    this.commit()
  }

  /**
   * The journal has everything that is visible, including changes it had reverted: it was reopened, or closed properly.
   */
  caughtUp(): void {
    this.persist()
    this.#hasNotes = false
  }

  /** Everything visible now survives a crash. */
  persist(): void {
    this.#durable = this.#copy()
  }

  /** The process died and another recovered its state (O-115, O-126). */
  recover({ keepsLost = true }: { readonly keepsLost?: boolean } = {}): void {
    const { operations, feed, cursors, lost, tracedSequence } = structuredClone(this.#durable)
    const kept = operations.filter(({ kind, isEvicted }) => !isTraceless(kind) && !isEvicted)
    const unfinished = kept.filter(({ status }) => live.includes(status))
    const owed = unfinished.filter(({ isOwedAnEnd }) => isOwedAnEnd)
    this.operations = [...kept.filter(({ status }) => !live.includes(status)), ...owed.map(asRevived)]
    this.feed = [...feed]
    this.cursors = { ...cursors }
    this.lost = [
      ...(keepsLost ? lost : []),
      ...unfinished
        .filter(({ isOwedAnEnd }) => !isOwedAnEnd)
        .map((operation) => {
          const { id, status } = operation
          return {
            id,
            status: status === 'provisioning' ? status : 'running',
            operation: asRevived(operation),
          } as const
        }),
    ]
    this.lastSequence = tracedSequence
    this.tracedSequence = tracedSequence
    this.waiters.close()
    this.line.forget()
    this.staged = []
    this.#refused = []
    this.isWriting = false
    this.#hasNotes = false
    this.owner = 'open'
    this.#evict()
    this.persist()
    this.#cancelAll(
      owed.map(({ id }) => id),
      owedReason,
    )
    this.commit()
  }

  #copy(): Durable {
    const { operations, feed, cursors, lost, tracedSequence } = this
    return structuredClone({ operations, feed, cursors, lost, tracedSequence })
  }

  /** Hands a change that is already visible to the journal. */
  #note(isWritten: boolean): void {
    if (!this.isDurable) return
    this.isWriting ||= isWritten
    this.#hasNotes ||= isWritten
  }

  /**
   * Hands ends to the journal as one group. Only ends of capacity slots with nothing ahead of them need not wait for
   * it.
   */
  #submit(ends: readonly StagedEnd[]): void {
    this.#groups += 1
    for (const end of ends) end.group = this.#groups
    this.staged.push(...ends)
    const isTraced = ends.some(({ id }) => !isTraceless(this.#get(id).kind))
    this.isWriting ||= this.isDurable && (isTraced || (this.#hasNotes && ends.length > 0))
    if (!this.isWriting) this.#showAndEndBelow()
  }

  /** Ends in progress become visible in order, and everything visible becomes durable. */
  #show(): StagedEnd[] {
    const ended = this.staged.splice(0)
    for (const together of inGroups(ended)) {
      for (const end of together) this.#end(end)
      for (const { id, outcome } of together) this.line.ended(id, outcome)
    }
    if (!this.isWriting) return ended
    this.persist()
    this.isWriting = false
    this.#hasNotes = false
    return ended
  }

  #showAndEndBelow(): void {
    for (const end of this.#show()) this.#endBelow(end)
  }

  /** O-150. */
  #endBelow({ id, outcome }: StagedEnd): void {
    this.#cancelAll(liveBelow(this, id), `parent ${id} has ended: ${outcome.type}`)
    const lost = this.#lostBelow(id)
    this.lost = this.lost.filter((one) => !lost.includes(one))
    this.operations.push(...lost.map(({ operation }) => operation))
    this.#cancelAll(
      lost.map((one) => one.id),
      owedReason,
    )
  }

  /** Lost operations below one that runs again, in the order of registration. */
  #lostBelow(id: OperationId): OracleLost[] {
    const below = allBelow(
      this.lost.map(({ operation }) => operation),
      id,
    )
    return this.lost.filter((one) => below.has(one.id))
  }

  /**
   * The next process owes an end to everything below this one that has none, running and lost alike (O-150); what is
   * lost was registered before anything that runs.
   */
  #oweEndsBelow(id: OperationId): void {
    const lost = this.lost.map(({ operation }) => operation)
    const below = allBelow([...lost, ...this.operations], id)
    const owed = lost.filter((part) => below.has(part.id))
    this.lost = this.lost.filter((one) => !below.has(one.id))
    this.operations.unshift(...owed)
    for (const part of this.operations) {
      if (below.has(part.id) && live.includes(part.status)) part.isOwedAnEnd = true
    }
  }

  #cancelAll(ids: readonly OperationId[], reason: string): void {
    if (ids.length === 0) return
    this.#submit(ids.map((id) => ({ ...this.#mint(id, { type: 'cancelled', reason }), isOwed: true })))
  }

  #get(id: OperationId): OracleOperation {
    const operation = this.find(id)
    if (operation === undefined) throw new Error(`the oracle lost operation ${id}`)
    return operation
  }

  #mint(id: OperationId, outcome: OperationOutcome): StagedEnd {
    this.lastSequence += 1
    return { id, outcome, sequence: this.lastSequence }
  }

  /** O-22, O-48. */
  #end({ id, outcome, sequence }: StagedEnd): void {
    const operation = this.#get(id)
    const { kind, displayName } = operation
    operation.status = outcome.type
    operation.outcome = outcome
    operation.sequence = sequence
    this.waiters.ended(id, outcome)
    if (isTraceless(kind)) this.#drop([operation])
    else {
      this.tracedSequence = sequence
      this.feed.push({ seq: sequence, operationId: id, kind, displayName, outcome })
    }
    this.waiters.satisfy()
    this.#evict()
  }

  #ended(): OracleOperation[] {
    return this.operations
      .filter(({ status, isEvicted }) => !live.includes(status) && !isEvicted)
      .toSorted((one, other) => (one.sequence ?? 0) - (other.sequence ?? 0))
  }

  /** O-57, O-97: evicts all but the newest ends; members of active waits are dropped when the waits are over. */
  #evict(): void {
    const newest = this.feed.slice(-this.limits.maxCompleted).map(({ operationId }) => operationId)
    for (const operation of this.#ended()) operation.isEvicted = !newest.includes(operation.id)
    this.#drop(this.operations.filter(({ id, isEvicted }) => isEvicted && !this.waiters.isPinned(id)))
  }

  #drop(operations: readonly OracleOperation[]): void {
    this.operations = this.operations.filter((operation) => !operations.includes(operation))
  }
}

/** The ends that become visible together, oldest first. */
function inGroups(ends: readonly StagedEnd[]): StagedEnd[][] {
  const groups = [...new Set(ends.map(({ group }) => group))]
  return groups.map((group) => ends.filter((end) => end.group === group))
}

/** The operation as it is recovered: its progress count and peer readiness are unknown. */
function asRevived(operation: OracleOperation): OracleOperation {
  const status = operation.status === 'provisioning' ? operation.status : 'running'
  return { ...operation, status, peerReady: false, progressCount: 0 }
}
