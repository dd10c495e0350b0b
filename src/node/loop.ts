import { createActor } from 'xstate'
import { ChartTable, type Place } from '../../machines/chart-table.js'
import { nodeLoopMachine, type NodeLoopActor, type NodeLoopEvent } from '../../machines/node-loop.js'
import type { Clock } from '../base/clock.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import { faultFields } from '../base/error-details.js'
import { messageOf } from '../base/errors.js'
import { followRoot, inspectOption, type Inspect } from '../base/inspection.js'
import type { Logger } from '../base/logger.js'
import { LoopShare } from '../base/loop-share.js'
import { createDeferred } from '../base/promises.js'
import { migrationsUnderWay, type AdminVerifier } from './admin/index.js'
import { AttemptJudge } from './attempt-judge.js'
import { Emissions } from './emissions.js'
import { NodeError } from './errors.js'
import type { Executor } from './executor.js'
import type { FoldEvent } from './fold-event.js'
import { Folding } from './folding.js'
import { guardedScorer } from './guarded-scorer.js'
import type { NodeHistory } from './history.js'
import type { DaemonId, EpochId } from './ids.js'
import { loopFailed } from './loop-lines.js'
import type { LoopPorts, Participant } from './loop-ports.js'
import type { NodeChains } from './node-chains.js'
import type { NodeConfiguration } from './options.js'
import { Participants } from './participants.js'
import { PortFaults } from './port-faults.js'
import { ProbeRegistry } from './probes.js'
import { PublishQueue, type PublishHandle, type QueuedEvent } from './publish-handle.js'
import { reconcile } from './reconcile/reconcile.js'
import { ScoreSampler } from './reconcile/score-sampler.js'
import { RecoveryRegistry } from './recovery.js'
import type { WallAnchor } from './remembering.js'
import { isOtherThan, projectSnapshot } from './snapshot-projection.js'
import type { NodeSnapshot } from './snapshot.js'
import type { NodeVersion } from './state.js'

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
  readonly #faults: PortFaults
  readonly #folding: Folding
  readonly #emissions: Emissions
  readonly #judge: AttemptJudge
  readonly #share: LoopShare
  readonly #actor: NodeLoopActor | undefined
  readonly #participants = new Participants()
  readonly #ended = createDeferred<number>()
  #sampler: ScoreSampler | undefined
  #place: Place<typeof nodeLoopMachine> = { value: 'idle', context: {} }
  #tick: Deadline | undefined
  #isTickDue = false
  #isScheduled = false
  #isTurning = false
  #snapshot: NodeSnapshot | undefined
  #published: NodeVersion | undefined
  #passes = 0
  #events = 0

  constructor(options: NodeLoopOptions) {
    const { configuration, clock, deadlines, logger, executor, inspect, ports = {} } = options
    const { verifier, onGateOpened } = options
    this.#options = options
    this.#faults = new PortFaults(logger)
    const onFault = this.#faults.add
    this.#folding = new Folding({ ...options, ports, onFault, onGateOpened, hasVerifier: verifier !== undefined })
    this.#emissions = new Emissions({ executor, logger, capacity: configuration.actionQueueCapacity })
    this.#judge = new AttemptJudge({ ...options, folding: this.#folding, snapshot: () => this.#currentSnapshot() })
    this.#share = new LoopShare(clock)
    this.#useScorer(ports)
    this.queue = new PublishQueue({
      capacity: configuration.eventQueueCapacity,
      deadlines,
      onEvent: () => this.#schedule(),
      onAbandoned: () => {
        if (this.#send({ type: 'handles_closed', queued: this.queue.size })) this.#finish()
      },
    })
    if (inspect === undefined) return
    const option = inspectOption(inspect, logger)
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
      droppedActions: this.#emissions.dropped,
      faults: this.#faults.counts,
    }
  }

  /** The instant of the last tick, or of the start before the first tick. */
  get now(): number {
    return this.#folding.state.now
  }

  /** Returns another handle to publish with. */
  handle(): PublishHandle {
    return this.queue.handle()
  }

  /** Replaces ports; those left out stay. */
  usePorts(ports: Partial<LoopPorts>): void {
    this.#folding.usePorts(ports)
    this.#useScorer(ports)
  }

  /** Adds a part of the process that a drain waits for. */
  addParticipant(participant: Participant): void {
    this.#participants.add(participant)
  }

  /**
   * Folds what an earlier life left, then takes events and ticks; call it once. `restore` is given the relation between
   * the two clocks. Resolves with the number of passes when the loop has ended; rejects with `node.loop_failed`.
   */
  run(restore: (anchor: WallAnchor) => readonly FoldEvent[] = () => []): Promise<number> {
    if (this.state !== 'idle') return this.#ended.promise
    const anchor = this.#folding.anchorNow()
    try {
      this.#folding.fold({ type: 'started', at: anchor.monotonic })
      for (const event of restore(anchor)) this.#folding.fold(event)
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
    if (scorer !== undefined) this.#sampler = new ScoreSampler(guardedScorer(scorer, this.#faults.add))
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
        this.#folding.fold({ type: 'tick', at: this.#options.clock.monotonicNow() })
        return
      case 'admin_event':
      case 'signed_admin_commit':
      case 'signed_ice_commit':
        this.#judge.judge(event, attempt)
        return
      default:
        this.#folding.fold(event)
        // Errors are handled in there.
        void this.#folding.remember(event)
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
    this.#folding.fold({ type: 'tick', at: this.#folding.anchorNow().monotonic })
    this.#pollProbes()
    this.#participants.ask(this.#onParticipant, this.#faults.add)
    this.#recover()
    this.#reconcile()
    this.#publish()
    this.#folding.rememberRequests()
    this.#emissions.trim()
  }

  #pollProbes(): void {
    const { thisNode } = this.#options.configuration
    const counts = this.probes.counts()
    const { locality, health, inventory } = this.probes.poll(this.#faults.add)
    for (const [peer, rttMs] of locality.samples)
      if (peer !== thisNode) this.#folding.fold({ type: 'rtt_sample', peer, rttMs })
    for (const [peer, state] of health.samples) {
      if (peer !== thisNode) this.#folding.fold({ type: 'node_health', peer, health: state })
    }
    if (counts.inventory === 0) return
    const samples = inventory.samples.flatMap(([peer, found]) =>
      peer === thisNode ? [] : [{ peer, inventory: found }],
    )
    // A peer is not forgotten because a probe failed, or because none knew any peer (6.3).
    const isComplete = !inventory.hasFailed && inventory.samples.length > 0
    if (samples.length > 0 || isComplete) this.#folding.fold({ type: 'inventory_polled', samples, isComplete })
  }

  readonly #onParticipant = (participant: string, isIdle: boolean): void => {
    this.#folding.fold({ type: 'participant_report', participant, isIdle })
  }

  #recover(): void {
    const slots = this.recovery.run(this.#faults.add)
    if (slots.length > 0) this.#options.logger.debug({ slots }, 'recovery handlers have released slots')
  }

  #reconcile(): void {
    const version = this.#folding.state.version()
    const actions = reconcile(version, this.#sampler?.sample(version))
    this.#passes += 1
    const enqueued = this.#emissions.offer(actions, version.now)
    this.#folding.fold({ type: 'reconciled', enqueued })
  }

  #publish(): void {
    const { chains, epoch, publish } = this.#options
    const { migrations } = this.#folding.ports
    const version = this.#folding.state.version()
    const snapshot = projectSnapshot(version, {
      epoch,
      pass: this.#passes,
      recentlyEmitted: this.#emissions.recent,
      recentFailures: chains.failures,
      adminAudit: chains.audit,
      logRing: chains.log,
      inFlightMigrations: migrationsUnderWay(migrations, (cause) => this.#faults.add('migration source', cause)),
    })
    const isChanged =
      this.#published === undefined || isOtherThan(version, this.#published) || hasNews(snapshot, this.#snapshot)
    this.#published = version
    this.#snapshot = snapshot
    publish(snapshot, isChanged)
  }

  /** The latest snapshot; its freeze and its migrations are from then. */
  #currentSnapshot(): NodeSnapshot {
    if (this.#snapshot === undefined) this.#publish()
    return this.#snapshot as NodeSnapshot
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
      this.#faults.add('last snapshot', cause)
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
