import type { Clock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { InvalidInputError, StatewardError } from '../base/errors.js'
import type { IdSource } from '../base/ids.js'
import type { Inspect } from '../base/inspection.js'
import type { Logger } from '../base/logger.js'
import { guardedObserver } from '../base/observers.js'
import { checkFunction } from '../base/options.js'
import { createDeferred, silence } from '../base/promises.js'
import type { JobList } from '../work/job-list.js'
import { NodeAdmissionGate } from './admission-gate.js'
import { AdminSocket, payloadDigest, payloadOf, type AdminVerifier } from './admin/index.js'
import type { ChainFeeds } from './chain-entry.js'
import { ClusterMember, type ClusterHost } from './cluster-member.js'
import type { ClusterConfiguration } from './cluster-options.js'
import { daemonDefinitionSchema, type DaemonDefinition } from './daemon-definition.js'
import { DaemonSupervisor } from './daemon-supervisor.js'
import { daemonRefSchema, type DaemonRef } from './daemon.js'
import { NodeError } from './errors.js'
import { takeNodeEvent, type NodeEvent, type OperatorEvent } from './event.js'
import { Executor, type ExecutorStats } from './executor.js'
import type { FoldEvent } from './fold-event.js'
import type { NodeHistory } from './history.js'
import type { DaemonId, EpochId, NodeId } from './ids.js'
import type { Participant } from './loop-ports.js'
import { NodeLoop, type NodeLoopStats } from './loop.js'
import {
  resolveRuntimeNodeOptions,
  submitOptionsSchema,
  type RuntimeNodeOptions,
  type ShutdownNodeOptions,
  type SubmitAttemptOptions,
} from './local-node-options.js'
import { NodeChains } from './node-chains.js'
import { NodeDispatcher } from './node-dispatcher.js'
import type { NodeConfiguration } from './options.js'
import type { ProbeRegistry } from './probes.js'
import type { PublishHandle } from './publish-handle.js'
import type { AdminAuditRecord } from './records.js'
import type { RecoveryRegistry } from './recovery.js'
import { clusterPositionKey, restoredEventsOf } from './remembering.js'
import { emptySnapshot } from './snapshot-projection.js'
import { SnapshotReader } from './snapshot-reader.js'
import type { NodeSnapshot } from './snapshot.js'
import { NodeState } from './state.js'
import type { DaemonIntent } from './vocabulary.js'

/** What a node shares with the rest of its runtime. */
export interface NodeSurroundings {
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly ids: IdSource
  readonly jobs: JobList
  readonly logger: Logger
  readonly history: NodeHistory
  /** Binds a definition to parts of the composition root; receives the cluster options, if there are any. */
  readonly bind?: (definition: DaemonDefinition, cluster: ClusterConfiguration | undefined) => DaemonDefinition
  readonly inspect?: Inspect
}

/** What a node has done so far. */
export interface NodeStats extends NodeLoopStats {
  readonly executor: ExecutorStats
  /** Records that never became durable: refused by the journal, or never handed to it. */
  readonly chains: { readonly refused: number; readonly lost: number }
  /** Reports and control events of daemons that were dropped. */
  readonly droppedByDaemons: number
}

/** The result of a shutdown. */
export interface NodeReport {
  readonly passes: number
  readonly droppedActions: number
  readonly executor: ExecutorStats
}

const defaultShutdownTimeoutMs = 2000
const defaultSubmitTimeoutMs = 5000

/**
 * The node of this process: what it should be doing, and whether it may. Intents say what is wanted, events what is;
 * with every tick the loop asks for the difference, and the dispatcher carries it out. Opened again after a crash, it
 * restores its intents, maintenance, freeze and gates, and adopts daemons that are still alive.
 *
 *     const { node } = runtime
 *     await node.runDaemon(defineDaemon('indexer', index))
 *     node.reader.read().daemons
 */
export class LocalNode {
  readonly id: NodeId
  /** The epoch of this life of its loop; a new one after every start. */
  readonly epoch: EpochId
  /** Reads and follows what it knew at the last tick. */
  readonly reader: SnapshotReader
  readonly probes: ProbeRegistry
  readonly recovery: RecoveryRegistry
  readonly #surroundings: NodeSurroundings
  readonly #configuration: NodeConfiguration
  readonly #loop: NodeLoop
  readonly #executor: Executor
  readonly #supervisor: DaemonSupervisor
  readonly #chains: NodeChains
  /** Its own handle on the queue, so that only a shutdown ends the loop. */
  readonly #handle: PublishHandle
  readonly #shutdownTimeoutMs: number
  readonly #verifier: AdminVerifier | undefined
  readonly #socketPath: string | undefined
  readonly #cluster: ClusterConfiguration | undefined
  #member: ClusterMember | undefined
  /** The socket for operators. */
  #socket: AdminSocket | undefined
  readonly #onSnapshot = new Set<(snapshot: NodeSnapshot) => void>()
  #running: Promise<number> | undefined
  #ending: Promise<NodeReport> | undefined

  /** Raises `invalid_input` naming the field. */
  constructor(options: RuntimeNodeOptions, surroundings: NodeSurroundings) {
    const { configuration, parts } = resolveRuntimeNodeOptions(options)
    const { clock, deadlines, ids, jobs, logger, history, inspect } = surroundings
    this.#surroundings = surroundings
    this.#configuration = configuration
    this.#verifier = parts.verifier
    this.#socketPath = parts.adminSocket
    this.#cluster = parts.cluster
    this.#shutdownTimeoutMs = parts.shutdownTimeoutMs ?? defaultShutdownTimeoutMs
    this.id = configuration.thisNode
    this.epoch = epochOf(ids)
    const { epoch } = this
    const inspected = inspect === undefined ? {} : { inspect }
    this.reader = new SnapshotReader(emptySnapshot(new NodeState(configuration).version(), epoch), logger)
    if (parts.cluster !== undefined) {
      const host = this.#clusterHost()
      const { thisNode } = configuration
      this.#member = new ClusterMember({
        thisNode,
        epoch,
        configuration: parts.cluster,
        host,
        clock,
        deadlines,
        logger,
      })
    }
    const member = this.#member
    const fenceOf = member === undefined ? parts.fenceOf : (daemon: DaemonId) => member.fenceOf(daemon)
    const placement = parts.placement ?? member
    this.#chains = new NodeChains({ history, epoch, thisNode: this.id, clock, logger })
    this.#supervisor = new DaemonSupervisor({
      clock,
      deadlines,
      jobs,
      logger,
      stopGraceMs: configuration.supervision.stopGraceMs,
      sink: {
        publish: (event) => this.#post(event),
        tryPublish: (event) => this.#loop.queue.post(event) === 'sent',
      },
      ...(fenceOf !== undefined && { fenceOf }),
      ...inspected,
    })
    for (const definition of parts.daemons ?? []) this.define(definition)
    const dispatcher = new NodeDispatcher({
      supervisor: this.#supervisor,
      history,
      clock,
      now: () => this.#loop.now,
      post: (event) => this.#post(event),
      ...(parts.replicas !== undefined && { replicas: parts.replicas }),
      ...(placement !== undefined && { placement }),
      ...(parts.control !== undefined && { control: parts.control }),
    })
    const gate = new NodeAdmissionGate(configuration.backpressure)
    this.#executor = new Executor({
      capacity: configuration.actionQueueCapacity,
      maxDeferCount: configuration.backpressure.maxDeferCount,
      gate,
      dispatcher,
      recorder: {
        disposed: (pending, disposition) => this.#chains.recordAction(pending, disposition),
        failed: ({ id }, reason) => this.#chains.recordFailure(`action-id:${id}`, reason),
      },
      clock,
      deadlines,
      logger,
      ...inspected,
    })
    const { onFolded } = parts
    this.#loop = new NodeLoop({
      configuration,
      epoch,
      clock,
      deadlines,
      logger,
      chains: this.#chains,
      history,
      executor: this.#executor,
      publish: (snapshot, isChanged) => this.#publish(snapshot, isChanged),
      onGateOpened: (daemon) => gate.open(daemon),
      ports: {
        control: dispatcher,
        ...(parts.scorer !== undefined && { scorer: parts.scorer }),
        ...(parts.aborter !== undefined && { aborter: parts.aborter }),
        ...(parts.migrations !== undefined && { migrations: parts.migrations }),
        ...(placement !== undefined && {
          onPlacementInvalidated: (node: NodeId) => {
            placement.invalidate(node)
            if (member !== placement) member?.invalidate(node)
          },
        }),
        ...(onFolded !== undefined && { onFolded }),
      },
      ...(parts.verifier !== undefined && { verifier: parts.verifier }),
      ...inspected,
    })
    this.probes = this.#loop.probes
    this.recovery = this.#loop.recovery
    this.#handle = this.#loop.handle()
    if (parts.verifier !== undefined && (parts.aborter === undefined || parts.migrations === undefined)) {
      logger.warn({ node: this.id }, 'the node has operators but nothing that can end migrations')
    }
  }

  /** The durable records of its chains, including those of earlier lives, as feeds. */
  get chains(): ChainFeeds {
    return this.#surroundings.history.chains
  }

  /** Who may administer it; `undefined` if nothing is verified. */
  get verifier(): AdminVerifier | undefined {
    return this.#verifier
  }

  /** Its configuration with every default filled in. */
  get configuration(): NodeConfiguration {
    return this.#configuration
  }

  get stats(): NodeStats {
    return {
      ...this.#loop.stats,
      executor: this.#executor.stats,
      chains: this.#chains.losses,
      droppedByDaemons: this.#supervisor.dropped,
    }
  }

  /** Whether its loop accepts events and ticks. */
  get isRunning(): boolean {
    return this.#loop.state === 'running'
  }

  /**
   * Starts the node: folds what an earlier life left, then the daemons that are still alive, and only then allows the
   * first tick (14.4). Call it once, when the lane is open.
   */
  async start(): Promise<void> {
    const member = this.#member
    // In a cluster placement is decided again: what outlived an earlier process may run elsewhere by now.
    const adopted = member === undefined ? await this.#supervisor.adopt() : []
    await member?.join()
    const { history } = this.#surroundings
    this.#running = silence(
      this.#loop.run((anchor) => {
        const restored = restoredEventsOf(history.checkpoints(), this.id, anchor)
        return [
          ...restored.filter(
            ({ type }) => type !== 'restarts_restored' && (member === undefined || type !== 'daemon_intent_update'),
          ),
          // It has seen these daemons itself: the events need no check.
          ...(adopted as readonly FoldEvent[]),
          // A daemon that was adopted has not thereby completed a restart that was asked for before.
          ...restored.filter(({ type }) => type === 'restarts_restored'),
        ]
      }),
    )
    member?.begin()
  }

  /** The node as a member of its cluster. Raises `invalid_input` if the options name no cluster. */
  get cluster(): ClusterMember {
    if (this.#member !== undefined) return this.#member
    throw new InvalidInputError({ subject: 'node options', field: 'cluster', reason: 'missing: this node is alone' })
  }

  #clusterHost(): ClusterHost {
    const timeoutMs = defaultSubmitTimeoutMs
    const { history } = this.#surroundings
    return {
      tell: (event) => this.#loop.queue.post(event) === 'sent',
      judge: (attempt, { position, judgedAtMs, ageMs }) =>
        this.#loop.queue.submit(attempt, { timeoutMs, judgedAtMs, shared: { position, ageMs } }),
      pass: (position) =>
        history.change({ keep: [{ key: clusterPositionKey, content: { type: 'cluster_position', ...position } }] }),
      position: () => {
        const content = history.checkpoint(clusterPositionKey)?.content
        return content?.type === 'cluster_position' ? content : undefined
      },
      standing: () => {
        const { localMaintenance, isCordoned } = this.reader.read()
        return { maintenance: localMaintenance.status, isCordoned }
      },
      runnable: () => this.#supervisor.definitions().map(({ daemon }) => daemon.id),
      isRunning: (daemon) => this.#supervisor.isRunning(daemon),
      end: (id, graceMs) => this.#supervisor.stop({ id, name: '' }, graceMs, 'lease_lost'),
    }
  }

  /**
   * Opens the socket for operators, if one is configured; their commands wait in the queue until the loop runs. Call it
   * once, before {@link LocalNode.start}. Rejects with the errors of {@link AdminSocket}.
   */
  async listen(): Promise<void> {
    const path = this.#socketPath
    if (path === undefined) return
    const { clock, logger } = this.#surroundings
    const host = {
      verifier: this.#verifier,
      submit: (attempt: OperatorEvent) => this.submit(attempt),
      snapshot: () => this.reader.read(),
    }
    this.#socket = await AdminSocket.open({ path, host, clock, logger })
  }

  /** Returns another handle to publish with; close it when you are done. */
  handle(): PublishHandle {
    return this.#handle.clone()
  }

  /**
   * Publishes an event to the loop; resolves once it is in the queue. Rejects with `invalid_input` and
   * `node.loop_closed`.
   */
  publish(event: NodeEvent): Promise<void> {
    return this.#handle.publish(event)
  }

  /** Adds or replaces a definition; whether the daemon runs depends on its intent. Raises `invalid_input`. */
  define(definition: DaemonDefinition): void {
    const { bind = (given) => given } = this.#surroundings
    this.#supervisor.define(bind(decode(daemonDefinitionSchema, definition, 'daemon'), this.#cluster))
  }

  /**
   * Sets the intent that a daemon runs here or, with `node`, on that node only, also after restarts. In a cluster: on
   * one of its nodes; rejects with the errors of the source.
   */
  runDaemon(daemon: DaemonDefinition | DaemonRef, node?: NodeId): Promise<void> {
    return silence(this.#wish(daemon, 'run', node))
  }

  /** Sets the intent that a daemon does not run, also after restarts. */
  stopDaemon(daemon: DaemonDefinition | DaemonRef): Promise<void> {
    return silence(this.#wish(daemon, 'stop'))
  }

  /** Ends a copy at once, regardless of its intent: for callers that can no longer vouch that it may run here. */
  endDaemon(daemon: DaemonRef, graceMs: number): void {
    this.#supervisor.stop(daemon, graceMs, 'lease_lost')
  }

  /** The daemons that can be started here. */
  daemons(): readonly DaemonDefinition[] {
    return this.#supervisor.definitions()
  }

  /**
   * Submits an operator's command, signed or not. Resolves with its audit record, accepted or rejected, once its
   * effects are durable. Rejects with `invalid_input`, `node.queue_full`, `node.loop_closed` and the errors of the
   * lane.
   */
  submit(attempt: OperatorEvent, options: SubmitAttemptOptions = {}): Promise<AdminAuditRecord> {
    let taken: SubmitAttemptOptions
    try {
      taken = decode(submitOptionsSchema, options, 'submit options')
    } catch (refusal) {
      return silence(Promise.reject(refusal))
    }
    const { timeoutMs = defaultSubmitTimeoutMs, judgedAtMs } = taken
    const member = this.#member
    if (member !== undefined && judgedAtMs === undefined && attempt?.type !== 'admin_event') {
      return silence(this.#submitShared(member, attempt, timeoutMs))
    }
    return this.#loop.queue.submit(attempt, { timeoutMs, ...(judgedAtMs !== undefined && { judgedAtMs }) })
  }

  /** A command that this node would accept goes to all members; each judges it when it has read it (14.1). */
  async #submitShared(
    member: ClusterMember,
    given: Exclude<OperatorEvent, { type: 'admin_event' }>,
    timeoutMs: number,
  ): Promise<AdminAuditRecord> {
    const attempt = takeNodeEvent(given) as typeof given
    const { queue } = this.#loop
    const refused = await queue.tryOut(attempt, { timeoutMs, judgedAtMs: member.nowMs })
    const record = refused ?? (await member.share(attempt))
    return record ?? queue.submit(attempt, { timeoutMs, knownAs: payloadDigest(payloadOf(attempt)) })
  }

  /** Adds a part of the process that a drain waits for. Raises `invalid_input`. */
  addParticipant(participant: Participant): void {
    this.#loop.addParticipant(participant)
  }

  /**
   * Calls the listener with every snapshot, as it is published; exceptions of the listener are logged. Raises
   * `invalid_input`.
   */
  onSnapshot(listener: (snapshot: NodeSnapshot) => void): Disposable {
    checkFunction('snapshot listener', listener)
    const guarded = guardedObserver(listener, this.#surroundings.logger, 'a listener could not take a snapshot')
    this.#onSnapshot.add(guarded)
    return { [Symbol.dispose]: () => void this.#onSnapshot.delete(guarded) }
  }

  /**
   * Ends the loop, then the executor, each within its time limit, and the daemons; later calls share the first one.
   * Rejects with `node.loop_timeout` and `node.executor_timeout` if one did not end in time, once everything else has
   * ended.
   */
  shutdown(options: ShutdownNodeOptions = {}): Promise<NodeReport> {
    this.#ending ??= silence(this.#shutdown(options))
    return this.#ending
  }

  async #shutdown({ graceMs = this.#configuration.supervision.stopGraceMs }: ShutdownNodeOptions): Promise<NodeReport> {
    const timeoutMs = this.#shutdownTimeoutMs
    this.#member?.prepareToLeave()
    await this.#socket?.close()
    try {
      await this.#handle.publishTimeout({ type: 'shutdown' }, timeoutMs)
    } catch (refusal) {
      // The queue was full for too long; the loop is aborted.
      if (!StatewardError.is(refusal, 'node.loop_closed')) this.#loop.abort()
    }
    // Its daemons end at the same time; the loop is no longer there to be told.
    const daemons = this.#supervisor.close(graceMs)
    let passes: number | undefined
    try {
      passes = await this.#within(timeoutMs, this.#running ?? Promise.resolve(0))
    } finally {
      // This happens however the loop has ended.
      await daemons
      // Only after they have ended: from now on other nodes may start them.
      if (this.#member !== undefined) await this.#within(timeoutMs, this.#member.leave())
      this.reader.close()
      this.#onSnapshot.clear()
    }
    if (passes === undefined) {
      const stuck = this.#loop.state === 'stopping' ? 'node.executor_timeout' : 'node.loop_timeout'
      throw new NodeError(stuck, { timeoutMs })
    }
    return { passes, droppedActions: this.#loop.stats.droppedActions, executor: this.#executor.stats }
  }

  /** @internal Ends the feeds of its chains: nothing becomes durable any more. */
  closeChains(): void {
    this.#surroundings.history.close()
  }

  async #wish(daemon: DaemonDefinition | DaemonRef, intent: DaemonIntent, node?: NodeId): Promise<void> {
    const isDefinition = typeof daemon === 'object' && daemon !== null && 'runner' in daemon
    // A daemon that is to stop may be left from an earlier process, and is found by its definition.
    if (isDefinition && (intent === 'run' || !this.#supervisor.isDefined(daemon.daemon))) this.define(daemon)
    const ref = decode(daemonRefSchema, isDefinition ? daemon.daemon : daemon, 'daemon')
    const pin = node === undefined ? {} : { node }
    if (this.#member !== undefined) return silence(this.#member.wishDaemon({ daemon: ref, intent, ...pin }))
    return this.publish({ type: 'daemon_intent_update', daemon: ref, intent, ...pin })
  }

  async #post(event: NodeEvent): Promise<void> {
    if ((await this.#loop.queue.postWhenRoom(event)) === 'closed') throw new NodeError('node.loop_closed', {})
  }

  #publish(snapshot: NodeSnapshot, isChanged: boolean): void {
    this.reader.publish(snapshot, isChanged)
    for (const listener of this.#onSnapshot) listener(snapshot)
  }

  /** The value of the promise; `undefined` when it takes too long. */
  async #within<Value>(timeoutMs: number, promise: Promise<Value>): Promise<Value | undefined> {
    const late = createDeferred<undefined>()
    const deadline = this.#surroundings.deadlines.after(timeoutMs, () => late.resolve(undefined))
    try {
      return await Promise.race([promise, late.promise])
    } finally {
      deadline[Symbol.dispose]()
    }
  }
}

/** 64 random bits of an id of the runtime: its last 16 digits. */
function epochOf(ids: IdSource): EpochId {
  return ids.uuid().replaceAll('-', '').slice(-16) as EpochId
}
