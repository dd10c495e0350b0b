import { createActor } from 'xstate'
import { ChartTable, type Place } from '../../machines/chart-table.js'
import { nodeLoopMachine, type NodeLoopActor, type NodeLoopEvent } from '../../machines/node-loop.js'
import type { Clock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import { faultFields } from '../base/error-details.js'
import { messageOf } from '../base/errors.js'
import { followRoot, inspectOption, type Inspect } from '../base/inspection.js'
import type { Logger } from '../base/logger.js'
import { LoopShare } from '../base/loop-share.js'
import { portSchema } from '../base/options.js'
import { createDeferred } from '../base/promises.js'
import type { NodeAction, PendingAction } from './action.js'
import { agedEvent } from './aged-event.js'
import {
  admitCommit,
  killMigration,
  migrationsUnderWay,
  type Admission,
  type AdmissionAudit,
  type AdminVerifier,
} from './admin/index.js'
import type { AdminAuditRecord } from './records.js'
import type { NodeEffect } from './effect.js'
import { NodeError } from './errors.js'
import type { OperatorEvent } from './event.js'
import type { Executor } from './executor.js'
import type { FoldEvent } from './fold-event.js'
import { fold } from './fold.js'
import { countForced } from './forced.js'
import { guardedScorer } from './guarded-scorer.js'
import type { NodeHistory } from './history.js'
import type { DaemonId, EpochId } from './ids.js'
import {
  actionsDropped,
  commitRefused,
  checkpointLost,
  loopFailed,
  portFailed,
  transitionRefused,
} from './loop-lines.js'
import type { LoopPorts, Participant } from './loop-ports.js'
import type { NodeChains } from './node-chains.js'
import type { NodeConfiguration } from './options.js'
import { callPort, ProbeRegistry, type OnFault } from './probes.js'
import {
  PublishQueue,
  type PublishHandle,
  type QueuedAttempt,
  type QueuedEvent,
  type SharedAttempt,
} from './publish-handle.js'
import { reconcile } from './reconcile/reconcile.js'
import { ScoreSampler } from './reconcile/score-sampler.js'
import { RecoveryRegistry } from './recovery.js'
import {
  checkpointChangeOf,
  clusterPositionKey,
  openRequestsChange,
  rememberedOf,
  type WallAnchor,
} from './remembering.js'
import { labelSchema } from './scalars.js'
import { isOtherThan, projectSnapshot } from './snapshot-projection.js'
import type { NodeSnapshot } from './snapshot.js'
import { isFrozen, NodeState, type NodeVersion } from './state.js'

/** Options of a {@link NodeLoop}. */
export interface NodeLoopOptions {
  readonly configuration: NodeConfiguration
  readonly epoch: EpochId
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  readonly chains: NodeChains
  readonly history: Pick<NodeHistory, 'change' | 'adminMemory'>
  readonly executor: Executor
  /**
   * Called with each snapshot; `isChanged` says whether anything but time differs from the one before. Must not throw.
   */
  readonly publish: (snapshot: NodeSnapshot, isChanged: boolean) => void
  /** Called for a daemon that may be started again, whatever held it back. */
  readonly onGateOpened?: (daemon: DaemonId) => void
  readonly ports?: LoopPorts
  readonly verifier?: AdminVerifier
  readonly inspect?: Inspect
}

/** Counters of a loop. */
export interface NodeLoopStats {
  /** Passes of reconciliation. */
  readonly passes: number
  /** Events that were applied, not counting ticks. */
  readonly events: number
  /** Actions that the executor had no room for. */
  readonly droppedActions: number
  /** How often each port has failed. */
  readonly faults: Readonly<Record<string, number>>
}

/** How many events are taken after a tick before the next tick is considered. */
const drainedAfterTick = 32
/** A tick that is more than this many milliseconds late delays the ticks after it (14.13). */
const lateMs = 5
/** How many events are taken between two checks of the turn's time slice. */
const eventsPerLook = 16

const participantSchema = portSchema<Participant>(['isIdle'])

const chart = new ChartTable(nodeLoopMachine)

/**
 * The reactor of a node: takes events in the order of their arrival, and with every tick compares what is with what
 * should be and asks the executor for the difference. Ticks have priority, so that a full queue cannot starve them;
 * after each tick some events are taken in any case, so that slow ticks cannot starve the queue (N-450 to N-459).
 *
 * Only the loop folds its state; it publishes immutable snapshots of it.
 */
export class NodeLoop {
  readonly queue: PublishQueue
  readonly probes = new ProbeRegistry()
  readonly recovery = new RecoveryRegistry()
  readonly #options: NodeLoopOptions
  readonly #state: NodeState
  readonly #share: LoopShare
  readonly #actor: NodeLoopActor | undefined
  readonly #participants = new Map<string, { readonly participant: Participant; reported?: boolean }>()
  readonly #ended = createDeferred<number>()
  #sampler: ScoreSampler | undefined
  #ports: LoopPorts
  #verifier: AdminVerifier | undefined
  #place: Place<typeof nodeLoopMachine> = { value: 'idle', context: {} }
  #tick: Deadline | undefined
  #isTickDue = false
  #isScheduled = false
  #isTurning = false
  #anchor: WallAnchor
  #snapshot: NodeSnapshot | undefined
  #nextActionId = 1
  #recentEmissions: PendingAction[] = []
  #published: NodeVersion | undefined
  /** The pending requests of operators as last written to the checkpoints. */
  #requests: Pick<NodeState, 'forced' | 'restarts'> | undefined

  #passes = 0
  #events = 0
  #droppedActions = 0
  readonly #faults = new Map<string, number>()

  constructor(options: NodeLoopOptions) {
    const { configuration, clock, deadlines, inspect, ports = {}, verifier } = options
    this.#options = options
    this.#ports = ports
    this.#verifier = verifier
    this.#state = new NodeState(configuration)
    this.#share = new LoopShare(clock)
    this.#useScorer(ports)
    this.#anchor = this.#newAnchor()
    this.queue = new PublishQueue({
      capacity: configuration.eventQueueCapacity,
      deadlines,
      onEvent: () => this.#schedule(),
      onAbandoned: () => {
        if (this.#send({ type: 'handles_closed', queued: this.queue.size })) this.#finish()
      },
    })
    if (inspect === undefined) return
    const option = inspectOption(inspect, options.logger)
    this.#actor = createActor(nodeLoopMachine, { id: `node ${configuration.thisNode}`, clock, ...option })
    followRoot(inspect, this.#actor)
    this.#actor.start()
  }

  get state(): Place<typeof nodeLoopMachine>['value'] {
    return this.#place.value
  }

  get stats(): NodeLoopStats {
    return {
      passes: this.#passes,
      events: this.#events,
      droppedActions: this.#droppedActions,
      faults: Object.fromEntries(this.#faults),
    }
  }

  /** The instant of the last tick, or of the start before the first tick. */
  get now(): number {
    return this.#state.now
  }

  /** Returns another handle to publish with. */
  handle(): PublishHandle {
    return this.queue.handle()
  }

  /** Replaces ports; those left out stay. */
  usePorts(ports: Partial<LoopPorts>): void {
    this.#ports = { ...this.#ports, ...ports }
    this.#useScorer(ports)
  }

  /** Adds a part of the process that a drain waits for. */
  addParticipant(participant: Participant): void {
    decode(participantSchema, participant, 'participant')
    decode(labelSchema, participant.name, 'name of a participant')
    this.#participants.set(participant.name, { participant })
  }

  /**
   * Folds what an earlier life left, then takes events and ticks; call it once. `restore` is given the relation between
   * the two clocks. Resolves with the number of passes when the loop has ended; rejects with `node.loop_failed`.
   */
  run(restore: (anchor: WallAnchor) => readonly FoldEvent[] = () => []): Promise<number> {
    if (this.state !== 'idle') return this.#ended.promise
    this.#anchor = this.#newAnchor()
    try {
      this.#fold({ type: 'started', at: this.#anchor.monotonic })
      for (const event of restore(this.#anchor)) this.#fold(event)
    } catch (cause) {
      this.#fail(cause)
      return this.#ended.promise
    }
    this.#send({ type: 'start' })
    this.#publish()
    this.#armTick(this.#options.clock.monotonicNow() + this.#options.configuration.tickIntervalMs)
    if (this.queue.handles === 0 && this.#send({ type: 'handles_closed', queued: this.queue.size })) this.#finish()
    else if (this.queue.size > 0) this.#schedule()
    return this.#ended.promise
  }

  /** Ends at once, whatever is queued: for an owner that finds no room for its shutdown event. */
  abort(): void {
    if (this.#send({ type: 'shut_down' })) this.#finish()
  }

  #useScorer({ scorer }: Partial<LoopPorts>): void {
    if (scorer !== undefined) this.#sampler = new ScoreSampler(guardedScorer(scorer, this.#onFault))
  }

  /** Runs in a turn of its own, so that the publisher continues first. */
  #schedule(): void {
    if (this.#isScheduled || this.#isTurning || this.state !== 'running') return
    this.#isScheduled = true
    queueMicrotask(this.#onTurn)
  }

  readonly #onTurn = (): void => {
    this.#isScheduled = false
    this.#turn()
  }

  /** Waits for either the timer or the queue; the timer has priority. */
  #turn(): void {
    if (this.#isTurning || this.state !== 'running') return
    this.#isTurning = true
    try {
      this.#work()
    } catch (cause) {
      this.#fail(cause)
    } finally {
      this.#isTurning = false
    }
    if (this.state === 'running' && (this.#isTickDue || this.queue.size > 0)) {
      this.#isScheduled = true
      this.#share.nextTurn(this.#onTurn)
    }
  }

  #work(): void {
    let taken = 0
    while (this.state === 'running') {
      if (this.#isTickDue) {
        this.#isTickDue = false
        this.#onTick()
        for (let count = 0; count < drainedAfterTick && this.#takeOne(); count += 1);
      } else if (!this.#takeOne()) return
      taken += 1
      if (taken % eventsPerLook === 0 && this.#share.isUsedUp) return
    }
  }

  /** False when the queue is empty, or when nothing is taken any more. */
  #takeOne(): boolean {
    if (this.state !== 'running') return false
    const queued = this.queue.take()
    if (queued === undefined) return false
    this.#apply(queued)
    if (this.state !== 'running') return false
    const { size, handles } = this.queue
    if (handles === 0 && this.#send({ type: 'applied', queued: size, handles })) this.#finish()
    return true
  }

  #apply({ event, attempt }: QueuedEvent): void {
    this.#events += 1
    switch (event.type) {
      case 'shutdown':
        if (this.#send({ type: 'shut_down' })) this.#finish()
        return
      case 'log_line':
        this.#options.chains.recordLine(event.level, event.message, event.daemonId)
        return
      case 'tick':
        // Advances time without reconciling.
        this.#fold({ type: 'tick', at: this.#options.clock.monotonicNow() })
        return
      case 'admin_event':
      case 'signed_admin_commit':
      case 'signed_ice_commit':
        this.#judge(event, attempt)
        return
      default:
        this.#fold(event)
        // Errors are handled in there.
        void this.#remember(event)
    }
  }

  // Ticks

  /**
   * Schedules each tick from the due time of the one before, so that ticks do not drift; after a late tick, from its
   * actual time.
   */
  #armTick(dueAt: number): void {
    const { clock, deadlines, configuration } = this.#options
    this.#tick = deadlines.at(dueAt, () => {
      const firedAt = clock.monotonicNow()
      this.#armTick((firedAt - dueAt > lateMs ? firedAt : dueAt) + configuration.tickIntervalMs)
      this.#isTickDue = true
      if (!this.#isScheduled) this.#turn()
    })
  }

  #onTick(): void {
    this.#anchor = this.#newAnchor()
    this.#fold({ type: 'tick', at: this.#anchor.monotonic })
    this.#pollProbes()
    this.#askParticipants()
    this.#recover()
    this.#reconcile()
    this.#publish()
    this.#rememberRequests()
    const { actionQueueCapacity } = this.#options.configuration
    this.#recentEmissions = this.#recentEmissions.slice(-actionQueueCapacity)
  }

  #pollProbes(): void {
    const { thisNode } = this.#options.configuration
    const counts = this.probes.counts()
    const { locality, health, inventory } = this.probes.poll(this.#onFault)
    for (const [peer, rttMs] of locality.samples) if (peer !== thisNode) this.#fold({ type: 'rtt_sample', peer, rttMs })
    for (const [peer, state] of health.samples) {
      if (peer !== thisNode) this.#fold({ type: 'node_health', peer, health: state })
    }
    if (counts.inventory === 0) return
    const samples = inventory.samples.flatMap(([peer, found]) =>
      peer === thisNode ? [] : [{ peer, inventory: found }],
    )
    // A peer is not forgotten because a probe failed, or because none knew any peer (6.3).
    const isComplete = !inventory.hasFailed && inventory.samples.length > 0
    if (samples.length > 0 || isComplete) this.#fold({ type: 'inventory_polled', samples, isComplete })
  }

  #askParticipants(): void {
    for (const [name, known] of this.#participants) {
      // A participant that cannot answer counts as busy, so that a drain does not pass it over.
      const isIdle = callPort(`participant ${name}`, () => known.participant.isIdle(), this.#onFault) === true
      if (known.reported === isIdle) continue
      known.reported = isIdle
      this.#fold({ type: 'participant_report', participant: name, isIdle })
    }
  }

  #recover(): void {
    const slots = this.recovery.run(this.#onFault)
    if (slots.length > 0) this.#options.logger.debug({ slots }, 'recovery handlers have released slots')
  }

  #reconcile(): void {
    const version = this.#state.version()
    const actions = reconcile(version, this.#sampler?.sample(version))
    this.#passes += 1
    const enqueued = this.#enqueue(actions)
    this.#fold({ type: 'reconciled', enqueued })
  }

  /** Every action gets a number. One that finds no room uses its number up, and the next pass asks for it again. */
  #enqueue(actions: readonly NodeAction[]): readonly NodeAction[] {
    const { executor, logger } = this.#options
    const emittedAt = this.#state.now
    const enqueued: NodeAction[] = []
    let firstDropped: NodeAction | undefined
    for (const action of actions) {
      const pending: PendingAction = Object.freeze({ id: this.#nextId(), action, emittedAt })
      if (executor.offer(pending)) {
        enqueued.push(action)
        this.#recentEmissions.push(pending)
      } else firstDropped ??= action
    }
    const dropped = actions.length - enqueued.length
    if (firstDropped !== undefined) {
      this.#droppedActions += dropped
      actionsDropped(logger, { dropped, first: firstDropped.type })
    }
    return enqueued
  }

  #nextId(): number {
    const id = this.#nextActionId
    if (!Number.isSafeInteger(id)) throw new NodeError('node.sequence_overflow', { sequence: 'action' })
    this.#nextActionId += 1
    return id
  }

  #publish(): void {
    const { chains, epoch, publish } = this.#options
    const { migrations } = this.#ports
    const version = this.#state.version()
    const snapshot = projectSnapshot(version, {
      epoch,
      pass: this.#passes,
      recentlyEmitted: this.#recentEmissions,
      recentFailures: chains.failures,
      adminAudit: chains.audit,
      logRing: chains.log,
      inFlightMigrations: migrationsUnderWay(migrations, (cause) => this.#onFault('migration source', cause)),
    })
    const isChanged =
      this.#published === undefined || isOtherThan(version, this.#published) || hasNews(snapshot, this.#snapshot)
    this.#published = version
    this.#snapshot = snapshot
    publish(snapshot, isChanged)
  }

  // Operators

  /** Judges an attempt, records it, and folds it if it was accepted. */
  #judge(attempt: OperatorEvent, queued: QueuedAttempt | undefined): void {
    const { clock, chains, history, configuration } = this.#options
    const nowMs = queued?.judgedAtMs ?? Math.trunc(clock.wallNow())
    const admission = admitCommit(attempt, {
      ...(this.#verifier !== undefined && { verifier: this.#verifier }),
      ...(queued?.knownAs !== undefined && { knownAs: queued.knownAs }),
      isFrozen: isFrozen(this.#state),
      forcedEntries: { count: countForced(this.#state.forced), capacity: configuration.forcedEntriesCapacity },
      nowMs,
      memory: history.adminMemory,
      snapshot: this.#currentSnapshot(),
    })
    const { event, audit, accepted } = admission
    if (queued?.isTrial === true && event !== undefined) return queued.onJudged(Promise.resolve(undefined))
    if (queued?.shared !== undefined) {
      return queued.onJudged(this.#takeShared(admission, queued.shared))
    }
    const record = chains.recordAttempt(audit)
    if (event === undefined) {
      this.#tellRefusal(audit)
      queued?.onJudged(Promise.resolve(record))
      return
    }
    this.#fold({ type: 'admin_event', event })
    const durable = this.#remember({ type: 'admin_event', event }, accepted)
    queued?.onJudged(durable.then(() => record))
  }

  /**
   * For a commit that every node of a cluster reads: its effects, its record and the position become durable in one
   * transaction.
   */
  #takeShared({ event, audit, accepted }: Admission, shared: SharedAttempt): Promise<AdminAuditRecord> {
    if (event === undefined) this.#tellRefusal(audit)
    // Durations in it have been running since it was shared.
    const folded = event && ({ type: 'admin_event', event: agedEvent(event, shared.ageMs) } as const)
    if (folded !== undefined) this.#fold(folded)
    const change = folded && checkpointChangeOf(folded, rememberedOf(this.#state), this.#anchor)
    const content = { type: 'cluster_position', ...shared.position } as const
    const { record, durable } = this.#options.chains.recordShared(audit, {
      ...change,
      keep: [...(change?.keep ?? []), { key: clusterPositionKey, content }],
      ...(accepted !== undefined && { accepted }),
    })
    durable.catch((cause: unknown) => checkpointLost(this.#options.logger, faultFields(cause)))
    return durable.then(() => record)
  }

  #tellRefusal({ event, outcome }: AdmissionAudit): void {
    if (outcome.status !== 'rejected') return
    commitRefused(this.#options.logger, { event: event.type, kind: outcome.kind, error: outcome.message })
  }

  /** The latest snapshot; its freeze and its migrations are from then. */
  #currentSnapshot(): NodeSnapshot {
    if (this.#snapshot === undefined) this.#publish()
    return this.#snapshot as NodeSnapshot
  }

  // Folding

  #fold(event: FoldEvent): void {
    const effects = fold(this.#state, event)
    const { onFolded } = this.#ports
    if (onFolded !== undefined) callPort('event log', () => onFolded(event), this.#onFault)
    for (const effect of effects) this.#carryOut(effect)
  }

  #carryOut(effect: NodeEffect): void {
    const { control, aborter, onPlacementInvalidated } = this.#ports
    switch (effect.type) {
      case 'control':
        if (control !== undefined) callPort('control sink', () => control.emit(effect.event), this.#onFault)
        return
      case 'open_daemon_gate':
        this.#options.onGateOpened?.(effect.daemon)
        return
      case 'kill_migration': {
        const failure = killMigration(effect.migration, { aborter, hasVerifier: this.#verifier !== undefined })
        if (failure === undefined) return
        this.#options.chains.recordFailure(failure.source, failure.reason)
        return
      }
      case 'invalidate_placement':
        if (onPlacementInvalidated === undefined) return
        callPort('placement', () => onPlacementInvalidated(effect.node), this.#onFault)
        return
      case 'observation_refused':
        transitionRefused(this.#options.logger, { from: effect.from, to: effect.to })
    }
  }

  /** Writes to the journal what must survive of an event; resolves once that is durable. */
  #remember(event: FoldEvent, accepted?: Parameters<NodeHistory['change']>[0]['accepted']): Promise<void> {
    const { history, logger } = this.#options
    const change = checkpointChangeOf(event, rememberedOf(this.#state), this.#anchor)
    if (change === undefined && accepted === undefined) return Promise.resolve()
    const durable = history.change({ ...change, ...(accepted !== undefined && { accepted }) })
    durable.catch((cause: unknown) => checkpointLost(logger, faultFields(cause)))
    return durable
  }

  /** Once per tick: requests of operators that were completed since must not be repeated by a later life. */
  #rememberRequests(): void {
    const { forced, restarts } = this.#state
    if (forced === this.#requests?.forced && restarts === this.#requests.restarts) return
    this.#requests = { forced, restarts }
    this.#options.history.change(openRequestsChange(this.#requests)).catch((cause: unknown) => {
      checkpointLost(this.#options.logger, faultFields(cause))
    })
  }

  readonly #onFault: OnFault = (port, cause) => {
    const known = this.#faults.get(port) ?? 0
    this.#faults.set(port, known + 1)
    // A failing port fails in every tick: the first failure is logged, the others are counted.
    if (known === 0) portFailed(this.#options.logger, { port, ...faultFields(cause) })
  }

  #newAnchor(): WallAnchor {
    const { clock } = this.#options
    return { monotonic: clock.monotonicNow(), wall: clock.wallNow() }
  }

  // The end

  /**
   * Events queued behind it are not applied. The final state is published once more, and the executor finishes its
   * queue.
   */
  #finish(): void {
    this.#tick?.[Symbol.dispose]()
    this.#isTickDue = false
    this.queue.close()
    try {
      this.#publish()
    } catch (cause) {
      this.#onFault('last snapshot', cause)
    }
    void this.#endWithExecutor()
  }

  async #endWithExecutor(): Promise<void> {
    await this.#options.executor.close()
    this.#send({ type: 'finished' })
    this.#ended.resolve(this.#passes)
  }

  #fail(cause: unknown): void {
    const { logger, executor } = this.#options
    loopFailed(logger, faultFields(cause))
    this.#send({ type: 'shut_down' })
    this.#tick?.[Symbol.dispose]()
    this.queue.close()
    void executor.close()
    this.#send({ type: 'finished' })
    this.#ended.reject(new NodeError('node.loop_failed', { reason: messageOf(cause) }, { cause }))
  }

  /** False when the chart refuses. */
  #send(event: NodeLoopEvent): boolean {
    const next = chart.move(this.#place, event)
    if (next === undefined) return false
    this.#place = next
    this.#actor?.send(event)
    return true
  }
}

/** Whether the rings of a snapshot differ from those before: their arrays stay the same while nothing is added. */
function hasNews(snapshot: NodeSnapshot, before: NodeSnapshot | undefined): boolean {
  return (
    before === undefined ||
    snapshot.recentFailures !== before.recentFailures ||
    snapshot.adminAudit !== before.adminAudit ||
    snapshot.logRing !== before.logRing ||
    snapshot.inFlightMigrations.length + before.inFlightMigrations.length > 0
  )
}
