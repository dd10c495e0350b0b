import type { Clock } from '../base/clock.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { messageOf, StatewardError } from '../base/errors.js'
import type { Inspect } from '../base/inspection.js'
import type { Logger } from '../base/logger.js'
import { silence } from '../base/promises.js'
import type { JobList } from '../work/job-list.js'
import { Job, type JobEnd } from '../work/job.js'
import type { DaemonControl } from './control-event.js'
import { DaemonControls } from './daemon-controls.js'
import type { DaemonDefinition, DaemonScope, RunningDaemon } from './daemon-definition.js'
import { daemonAdopted, daemonDropped, daemonEnded, daemonStarted } from './daemon-lines.js'
import type { DaemonRef, DaemonSignal } from './daemon.js'
import { NodeError } from './errors.js'
import { takeNodeEvent, type NodeEvent } from './event.js'
import type { DaemonId } from './ids.js'

/** Why a daemon is told to end. */
type StopCause = 'stopped' | 'node_closed' | 'lease_lost'

/** Where a supervisor reports what happens to its daemons. */
export interface SupervisorSink {
  /** Waits for room in the queue, so that the end of a daemon is never dropped. Rejects once the loop has ended. */
  publish(event: NodeEvent): Promise<void>
  /** False when the event was dropped. */
  tryPublish(event: NodeEvent): boolean
}

/** Options of a {@link DaemonSupervisor}. */
export interface DaemonSupervisorOptions {
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly jobs: JobList
  readonly logger: Logger
  readonly sink: SupervisorSink
  /** Milliseconds that a daemon has to end, unless its definition allows less. */
  readonly stopGraceMs: number
  /** In a cluster, the fence of the lease under which a daemon runs here. A daemon without one is not started. */
  readonly fenceOf?: (daemon: DaemonId) => number | undefined
  readonly inspect?: Inspect
}

/** A copy that is running, or whose code has not ended yet. */
interface Copy {
  readonly definition: DaemonDefinition
  readonly job: Job<StopCause>
  readonly controls: DaemonControls
  running: RunningDaemon | undefined
  startedAt: number | undefined
}

/** Milliseconds until a start is retried that found the previous copy still running. */
const retryStartMs = 500

/**
 * Starts and stops the daemons of a node and reports what happens to them. Each copy is a job, listed with all other
 * jobs of the runtime. A daemon never has a second copy while code of the first may still run (N-430). The supervisor
 * does not decide about restarts: it reports every crash to the loop, and reconciliation asks for the next start.
 */
export class DaemonSupervisor {
  readonly #options: DaemonSupervisorOptions
  readonly #definitions = new Map<DaemonId, DaemonDefinition>()
  readonly #copies = new Map<DaemonId, Copy>()
  /** Daemons whose copy of an earlier process was looked for, and those whose search is under way. */
  readonly #lookedFor = new Set<DaemonId>()
  readonly #looking = new Set<DaemonId>()
  /** Daemons whose start was refused because they were not defined. */
  readonly #refused = new Set<DaemonId>()
  #hasBegun = false
  #dropped = 0
  #isClosed = false

  constructor(options: DaemonSupervisorOptions) {
    this.#options = options
  }

  /** The daemons that can be started here. */
  definitions(): readonly DaemonDefinition[] {
    return [...this.#definitions.values()]
  }

  /**
   * Adds or replaces a definition; a running copy continues as it is. For a new definition, a copy that an earlier
   * process left running is adopted now.
   */
  define(definition: DaemonDefinition): void {
    const { daemon, runner } = definition
    this.#definitions.set(daemon.id, definition)
    // Its start failed for lack of a definition, which now exists: it is asked for again.
    if (this.#refused.delete(daemon.id)) this.#tell(daemon, { type: 'exited_cleanly', at: this.#now() })
    if (this.#hasBegun && runner.adopt !== undefined && !this.#copies.has(daemon.id)) this.#adoptLate(definition)
  }

  isDefined({ id }: DaemonRef): boolean {
    return this.#definitions.has(id)
  }

  /** Whether code of a copy may still be running. */
  isRunning(daemon: DaemonId): boolean {
    return this.#copies.has(daemon)
  }

  /** The number of copies whose code has not ended. */
  get size(): number {
    return this.#copies.size
  }

  /** How many reports and control events of daemons were dropped because their receiver did not read. */
  get dropped(): number {
    let dropped = this.#dropped
    for (const { controls } of this.#copies.values()) dropped += controls.dropped
    return dropped
  }

  /**
   * Adopts the daemons that an earlier process of this node left running, and returns them as events, before the loop
   * begins (14.4). If the search for a daemon fails, it is repeated before that daemon is started.
   */
  async adopt(): Promise<readonly NodeEvent[]> {
    this.#hasBegun = true
    const adopted: NodeEvent[] = []
    for (const definition of this.definitions()) {
      const signal = await this.#adopt(definition)
      if (signal !== undefined) adopted.push(lifecycle(definition.daemon, signal))
    }
    return adopted
  }

  /** Looks, once, for the copy that an earlier process left; returns its signal, if there is one. */
  async #adopt(definition: DaemonDefinition): Promise<DaemonSignal | undefined> {
    const { logger } = this.#options
    const { daemon, runner } = definition
    const { id, name } = daemon
    if (runner.adopt === undefined || this.#lookedFor.has(id) || this.#looking.has(id)) return undefined
    const copy = this.#copyOf(definition)
    this.#looking.add(id)
    try {
      const running = await runner.adopt(this.#scopeOf(copy))
      this.#lookedFor.add(id)
      if (running === undefined || this.#isClosed) return undefined
      this.#run(copy, () => running)
      copy.startedAt = this.#now()
      daemonAdopted(logger, { daemon: name, daemonId: id, kind: runner.kind })
      return { type: 'started', at: copy.startedAt }
    } catch (cause) {
      logger.warn({ daemon: name, error: messageOf(cause) }, 'the search for a daemon of an earlier process failed')
      return undefined
    } finally {
      this.#looking.delete(id)
    }
  }

  /** The same while the loop runs; reports to the loop. Never rejects. */
  #adoptLate(definition: DaemonDefinition): void {
    const tell = (signal: DaemonSignal | undefined): void => {
      if (signal !== undefined) this.#tell(definition.daemon, signal)
    }
    void this.#adopt(definition).then(tell)
  }

  /**
   * Starts a daemon; the loop learns of its start and its end through events. Raises `node.unsupported` if it is not
   * defined, and `node.dispatch_failed`, to be retried, while code of an earlier copy runs or may run.
   */
  start({ id, name }: DaemonRef): void {
    if (this.#isClosed) throw new NodeError('node.loop_closed', {})
    const definition = this.#definitions.get(id)
    if (definition === undefined) {
      this.#refused.add(id)
      throw new NodeError('node.unsupported', { action: `starting daemon ${name}`, needed: 'definition of it' })
    }
    const { fenceOf } = this.#options
    if (fenceOf !== undefined && fenceOf(id) === undefined) {
      throw new NodeError('node.dispatch_failed', { reason: `this node has no lease for daemon ${name}` })
    }
    const copy = this.#copies.get(id)
    if (copy === undefined) {
      if (definition.runner.adopt === undefined || this.#lookedFor.has(id)) return this.#run(this.#copyOf(definition))
      this.#adoptLate(definition)
      const reason = `it is not known yet whether daemon ${name} runs`
      throw new NodeError('node.dispatch_failed', { reason, retryAfterMs: retryStartMs })
    }
    if (copy.job.state === 'working') {
      // The loop does not know yet, or has missed it: it is told again.
      if (copy.startedAt !== undefined) this.#tell(definition.daemon, { type: 'started', at: copy.startedAt })
      return
    }
    const reason = `daemon ${name} has not ended yet: it is ${copy.job.state}`
    throw new NodeError('node.dispatch_failed', { reason, retryAfterMs: retryStartMs })
  }

  /**
   * Tells a daemon to end; after `graceMs` it is ended by force if that is possible. One that is not running is
   * reported as stopped.
   */
  stop(daemon: DaemonRef, graceMs: number, cause: StopCause = 'stopped'): void {
    const copy = this.#copies.get(daemon.id)
    if (copy === undefined) return this.#tell(daemon, { type: 'exited_cleanly', at: this.#now() })
    if (copy.job.state === 'stopping') {
      if (cause === 'lease_lost') this.#hurry(copy, graceMs)
      return
    }
    const granted = Math.min(graceMs, copy.definition.graceMs ?? graceMs)
    this.#control(copy, { type: 'shutdown', gracePeriodMs: granted })
    copy.job.stop(cause, granted)
  }

  /** It must end earlier than it was told before. */
  #hurry(copy: Copy, graceMs: number): void {
    const deadline = this.#options.deadlines.after(graceMs, () => copy.running?.kill?.())
    void copy.job.finished.then(() => deadline[Symbol.dispose]())
  }

  /** Passes a control event to every daemon. */
  broadcast(control: DaemonControl): void {
    for (const copy of this.#copies.values()) this.#control(copy, control)
  }

  /** Stops starting daemons and ends all; resolves when each has ended or its time is up. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true
    const ended = [...this.#copies.values()].map(({ definition: { daemon }, job }) => {
      this.stop(daemon, graceMs, 'node_closed')
      return this.#answered.get(job) ?? Promise.resolve()
    })
    await Promise.all(ended)
  }

  /** Resolves when the job has answered or was left behind. */
  readonly #answered = new WeakMap<Job<StopCause>, Promise<void>>()

  #copyOf(definition: DaemonDefinition): Copy {
    const { clock, deadlines, jobs, stopGraceMs, inspect } = this.#options
    const { daemon, runner, graceMs = stopGraceMs } = definition
    const job = new Job<StopCause>({
      id: daemon.id,
      room: 'node',
      kind: runner.kind,
      displayName: daemon.name,
      clock,
      deadlines,
      jobs,
      reasonOf: (cause) => new StatewardError('daemon_stopped', `the daemon is to end: ${cause}`, { cause }),
      graceMs,
      ...(inspect !== undefined && { inspect }),
    })
    return { definition, job, controls: new DaemonControls(), running: undefined, startedAt: undefined }
  }

  /** Runs a copy, a new one unless one was adopted. */
  #run(copy: Copy, adopted?: () => RunningDaemon): void {
    const { definition, job } = copy
    const { daemon } = definition
    this.#copies.set(daemon.id, copy)
    const answered = job.run(() => this.#work(copy, adopted)).then((end) => this.#onEnd(copy, end))
    this.#answered.set(job, silence(answered))
    void job.finished.then(() => this.#forget(copy))
  }

  async #work(copy: Copy, adopted: (() => RunningDaemon) | undefined): Promise<unknown> {
    const { definition, controls } = copy
    const { daemon, runner } = definition
    const running = adopted?.() ?? (await runner.start(this.#scopeOf(copy)))
    copy.running = running
    // It was told to end while it was starting.
    if (copy.job.state === 'left_behind') running.kill?.()
    if (running.control !== undefined) {
      for (let control = controls.tryNext(); control !== undefined; control = controls.tryNext()) {
        running.control(control)
      }
    }
    if (adopted === undefined) {
      copy.startedAt = this.#now()
      this.#tell(daemon, { type: 'started', at: copy.startedAt })
      daemonStarted(this.#options.logger, { daemon: daemon.name, daemonId: daemon.id, kind: runner.kind })
    }
    return running.ended
  }

  #onEnd(copy: Copy, { answer, stopCause }: JobEnd<StopCause>): void {
    const { definition, running } = copy
    const { daemon, runner } = definition
    copy.controls.close()
    if (answer.type === 'none') running?.kill?.()
    const at = this.#now()
    // A daemon that was told to end has ended cleanly, however it did so.
    const reason = answer.type === 'threw' && stopCause === undefined ? messageOf(answer.thrown) : undefined
    this.#tell(daemon, reason === undefined ? { type: 'exited_cleanly', at } : { type: 'crashed', at, reason })
    daemonEnded(this.#options.logger, {
      daemon: daemon.name,
      daemonId: daemon.id,
      kind: runner.kind,
      ...(reason !== undefined && { error: reason }),
      ...(stopCause !== undefined && { stopCause }),
      inTime: answer.type !== 'none',
    })
  }

  #forget(copy: Copy): void {
    const { id } = copy.definition.daemon
    if (this.#copies.get(id) !== copy) return
    this.#dropped += copy.controls.dropped
    this.#copies.delete(id)
  }

  #control({ controls, running }: Copy, control: DaemonControl): void {
    if (running?.control === undefined) {
      controls.push(control)
      return
    }
    try {
      running.control(control)
    } catch (cause) {
      this.#options.logger.warn(
        { error: messageOf(cause) },
        'a daemon could not be started or stopped as the node requested',
      )
    }
  }

  #scopeOf({ definition: { daemon }, job, controls }: Copy): DaemonScope {
    const { sink, fenceOf } = this.#options
    const now = (): number => this.#now()
    const report = (event: NodeEvent): boolean => {
      // It comes from a daemon, and may be anything.
      const isTaken = sink.tryPublish(takeNodeEvent(event))
      if (!isTaken) this.#dropped += 1
      return isTaken
    }
    return {
      daemon,
      get signal() {
        return job.signal
      },
      controls,
      fence: fenceOf?.(daemon.id),
      reportHealth: (health) => report(lifecycle(daemon, { type: 'health_changed', at: now(), health })),
      reportSaturation: (saturation) =>
        report(lifecycle(daemon, { type: 'saturation_changed', at: now(), saturation })),
      log: (level, message) => report({ type: 'log_line', level, daemonId: daemon.id, message }),
    }
  }

  /** Starts and ends are reported in order, however full the queue is; a loop that has ended is ignored. */
  #tell(daemon: DaemonRef, signal: DaemonSignal): void {
    const { sink, logger } = this.#options
    sink.publish(lifecycle(daemon, signal)).catch((cause: unknown) => {
      if (!StatewardError.is(cause, 'node.loop_closed')) {
        daemonDropped(logger, {
          daemon: daemon.name,
          daemonId: daemon.id,
          signal: signal.type,
          error: messageOf(cause),
        })
      }
    })
  }

  #now(): number {
    return this.#options.clock.monotonicNow()
  }
}

function lifecycle(daemon: DaemonRef, signal: DaemonSignal): NodeEvent {
  return { type: 'daemon_lifecycle', daemon, signal }
}
