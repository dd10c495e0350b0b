import { mkdtempSync, rmdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import { InvalidInputError, messageOf, StatewardError } from '../../base/errors.js'
import type { IdSource } from '../../base/ids.js'
import type { Logger } from '../../base/logger.js'
import { makeDirectorySync } from '../../base/make-directory.js'
import { hasVariable } from '../../base/process-status.js'
import { childInputPath } from '../../work/children/child-input.js'
import { readChildRecord } from '../../work/children/child-record.js'
import { readExitReport, type ExitReport } from '../../work/children/exit-report.js'
import {
  isStillRunning,
  killProcesses,
  type KilledProcesses,
  type ProcessMark,
} from '../../work/children/marked-processes.js'
import {
  AdoptedSupervisor,
  SupervisedChild,
  supervisorProgram,
  type Supervisor,
} from '../../work/children/supervised-child.js'
import { ProcessError } from '../errors.js'
import type { ProcessLease } from '../lease.js'
import type { AwaitOutput } from '../output.js'
import type { ProcessRecord } from '../record.js'
import type { ProcessRunner, RunContext } from '../runner.js'
import type { ProcessStore } from '../store.js'
import { isSameBoot, thisHost, type Host } from './host.js'
import { makeOutputDirectory, outputDirectoryOf } from './system-output.js'
import { cancelledOutcome, exitUnknown, outcomeOf } from './outcome.js'
import {
  commandOf,
  defaultSystemGraceMs,
  isSystemProcess,
  spawned,
  spawning,
  type Spawned,
  type SystemCommand,
} from './system-process.js'

/** Options of a {@link SystemRunner}. */
export interface SystemRunnerOptions {
  /** Directory on this host for output and exit reports. Workers may share one or have their own. */
  readonly directory: string
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly ids: IdSource
  readonly logger: Logger
  /** The environment of commands, to which their own variables are added. Default: that of this Node process. */
  readonly env?: Readonly<NodeJS.ProcessEnv>
  /**
   * Path of the supervisor program that commands run under. Default: the one in this package. Set it if the package is
   * bundled.
   */
  readonly supervisor?: string
}

const defaultOutputLimitBytes = 4 * 2 ** 20
/** Milliseconds after the grace period before a supervisor that has not ended is killed together with its child. */
const supervisorGraceMs = 1000

/** What is recorded of an operating system process. */
interface Traces {
  readonly directory: string
  readonly mark: ProcessMark
}

/** What is known of a process that was started before. */
interface Found {
  readonly host: Host
  readonly traces: Traces
  /** Set if a running process matches everything that is recorded. */
  readonly supervisor: Supervisor | undefined
}

/**
 * Runs operating system processes (P-220). They are recorded before they exist, recovered by the next worker on their
 * host, and ended together with all their children.
 */
export class SystemRunner implements ProcessRunner {
  readonly #options: SystemRunnerOptions
  readonly #host: Host = thisHost()

  /** Creates the directory if it is missing. Raises `invalid_input` if it cannot be created or is not writable. */
  constructor(options: SystemRunnerOptions) {
    this.#options = { ...options, directory: resolve(options.directory) }
    try {
      makeDirectorySync(this.#options.directory, { mode: 0o700 })
      // An existing path may not be a writable directory.
      rmdirSync(mkdtempSync(join(this.#options.directory, '.tried-')))
    } catch (cause) {
      const reason = `nothing can be written there: ${messageOf(cause)}`
      const refusal = { subject: 'runtime options', field: 'processes.systemDirectory', reason }
      throw new InvalidInputError(refusal, { cause })
    }
  }

  /** Processes started by another host are left alone. */
  canRun(record: ProcessRecord): boolean {
    const liveness = record.firstStarted?.owner.liveness
    const isElsewhere = liveness?.type === 'local_process' && liveness.hostId !== this.#host.hostId
    return isSystemProcess(record) && !isElsewhere
  }

  canRecover(record: ProcessRecord): boolean {
    return this.canRun(record)
  }

  async run(context: RunContext): Promise<AwaitOutput> {
    const { record, store, job } = context
    const command = commandOf(record)
    job.signal.throwIfAborted()
    const mark = this.#options.ids.uuid()
    await store.appendEvent(record.id, spawning.request({ mark, ...this.#host }), { lease: context.lease() })
    const traces = this.#tracesOf(mark)
    const { supervisor = supervisorProgram, logger } = this.#options
    makeOutputDirectory(traces.directory, record.id)
    let child: SupervisedChild
    try {
      child = await SupervisedChild.start(supervisor, traces.directory, traces.mark)
    } catch (error) {
      if (!StatewardError.is(error, 'child_not_started')) throw error
      return { type: 'failure', class: 'unavailable', code: 'child_not_started', message: error.message }
    }
    try {
      const identity: Spawned = child.identity ?? { pid: child.pid }
      await store.appendEvent(record.id, spawned.request(identity), { lease: context.lease() })
      job.signal.throwIfAborted()
    } catch (error) {
      // It has not received the command yet, so no part of it has run.
      child.withdraw()
      throw error
    }
    logger.debug({ processId: record.id, pid: child.pid }, 'a system process was started')
    child.begin(this.#orderOf(command, traces.mark))
    using _ = this.#speaking(child, command)
    return await this.#watch(context, child, traces)
  }

  /** Tells the supervisor regularly that its owner is not frozen. */
  #speaking(child: SupervisedChild, { recover, ownerSilenceMs }: SystemCommand): Disposable {
    let next: Deadline | undefined
    const goOn = (everyMs: number): void => {
      next = this.#options.deadlines.after(everyMs, () => {
        child.speak()
        goOn(everyMs)
      })
    }
    if (recover === 'reap' && ownerSilenceMs !== undefined) goOn(ownerSilenceMs / 4)
    return { [Symbol.dispose]: () => next?.[Symbol.dispose]() }
  }

  async recover(context: RunContext, deadHolder: ProcessLease | undefined): Promise<AwaitOutput | undefined> {
    const { record, store } = context
    const found = await this.#find(record, store)
    if (found === undefined) return undefined
    const { host, traces, supervisor } = found
    if (host.hostId !== this.#host.hostId && deadHolder === undefined) throw elsewhere(record, host)
    const isKept = commandOf(record).recover === 'adopt' || deadHolder === undefined
    if (supervisor === undefined || !isKept || record.abandonRequest !== undefined) return this.#reap(record, found)
    await store.recordAdoption(context.lease(), supervisor.pid)
    return this.#watch(context, supervisor, traces)
  }

  async reap(record: ProcessRecord, store: ProcessStore): Promise<AwaitOutput | undefined> {
    const found = await this.#find(record, store)
    if (found !== undefined && found.host.hostId !== this.#host.hostId) throw elsewhere(record, found.host)
    return found && this.#reap(record, found)
  }

  /** What its log says. `undefined` if it never existed, because nothing is started before it is recorded. */
  async #find({ id }: ProcessRecord, store: ProcessStore): Promise<Found | undefined> {
    const begun = await store.firstEventAfter(id, spawning.eventType, 0)
    if (begun === undefined) return undefined
    const { mark, ...host } = spawning.read(begun.payload)
    const traces = this.#tracesOf(mark)
    const event = isSameBoot(host, this.#host) ? await store.firstEventAfter(id, spawned.eventType, 0) : undefined
    const supervisor = event && supervisorOf(spawned.read(event.payload), traces.mark, this.#options.clock)
    return { host, traces, supervisor }
  }

  /** Ends whatever is left of it. If it had already ended by itself, that outcome counts. */
  async #reap(record: ProcessRecord, { supervisor, traces }: Found): Promise<AwaitOutput | undefined> {
    const { graceMs = defaultSystemGraceMs } = commandOf(record)
    if (supervisor !== undefined) await this.#end(supervisor, traces, graceMs)
    const { killed, leftPids } = await this.#kill(traces)
    if (supervisor !== undefined || killed + leftPids.length > 0) {
      this.#options.logger.warn(
        { processId: record.id, killed, leftPids },
        'processes left running by an earlier owner were ended',
      )
    }
    const report = readReport(traces)
    const isItsOwn = typeof report === 'object' && !(report.type === 'ended' && report.interruptedBy !== null)
    return isItsOwn ? this.#answerOf(report) : undefined
  }

  /** Resolves with the outcome. Rejects if the program continues without this worker. */
  async #watch(context: RunContext, supervisor: Supervisor, traces: Traces): Promise<AwaitOutput> {
    const { job, record } = context
    const { signal } = job
    const { recover, graceMs = defaultSystemGraceMs } = commandOf(record)
    try {
      await supervisor.ended(signal)
    } catch (reason) {
      if (!signal.aborted) throw reason
      const cause = causeOf(reason)
      const isEnded = cause === 'cancelled' || (cause === 'closing' && recover === 'reap')
      if (!isEnded) {
        supervisor.leave()
        throw reason
      }
      await this.#end(supervisor, traces, graceMs)
      return this.#outcomeWhenStopped(context, traces, cause)
    }
    return this.#settle(context, traces)
  }

  /** The outcome of a program that ended by itself. */
  async #settle(context: RunContext, traces: Traces): Promise<AwaitOutput> {
    const report = readReport(traces)
    if (report === undefined || report === 'unreadable') {
      await this.#kill(traces)
      return exitUnknown
    }
    return this.#answerOf(report) ?? this.#givenUp(context, 'sweep')
  }

  #outcomeWhenStopped(context: RunContext, traces: Traces, cause: 'cancelled' | 'closing'): AwaitOutput {
    const report = readReport(traces)
    // It may have ended by itself at the same moment.
    if (typeof report === 'object' && report.type === 'ended' && report.interruptedBy === null) return outcomeOf(report)
    if (cause === 'closing') return this.#givenUp(context, 'owner_drain')
    return typeof report === 'object' && report.type === 'ended'
      ? cancelledOutcome(report)
      : { type: 'cancelled', message: 'the process was cancelled' }
  }

  /** Asks the program to end, and kills it if it has not ended in time. */
  async #end(supervisor: Supervisor, traces: Traces, graceMs: number): Promise<void> {
    const late = new AbortController()
    using _ = this.#options.deadlines.after(graceMs + supervisorGraceMs, () => late.abort())
    supervisor.askToEnd()
    try {
      await supervisor.ended(late.signal)
    } catch {
      this.#options.logger.warn({ pid: supervisor.pid }, 'the supervisor of a system process did not end in time')
    }
    await this.#kill(traces)
  }

  /** Kills every process with the mark, and the child with its group. Never kills by pid alone. */
  #kill({ directory, mark }: Traces): Promise<KilledProcesses> {
    const recorded = readChildRecord(directory)
    const input = childInputPath(directory)
    const traces = { mark, ...(recorded && { recorded }), ...(input !== undefined && { input }) }
    return killProcesses(traces, this.#options.clock)
  }

  #answerOf(report: ExitReport): AwaitOutput | undefined {
    if (report.type === 'unasked') return undefined
    if (report.type === 'ended' && report.interruptedBy === 'owner_lost') return undefined
    return outcomeOf(report)
  }

  #givenUp(context: RunContext, writer: 'owner_drain' | 'sweep'): AwaitOutput {
    const { owner = context.lease().owner } = context.record.firstStarted ?? {}
    return { type: 'abandoned', evidence: { writer, owner, epochMs: Math.trunc(this.#options.clock.wallNow()) } }
  }

  #tracesOf(mark: string): Traces {
    // The variable name is unique per process, because nested processes carry both marks.
    const name = `STATEWARD_PROCESS_${mark.replaceAll('-', '_')}`
    return { directory: outputDirectoryOf(this.#options.directory, mark), mark: { name, value: '1' } }
  }

  #orderOf(command: SystemCommand, mark: ProcessMark) {
    const { args = [], cwd = process.cwd(), env = {}, recover, timeoutMs, ownerSilenceMs, ...limits } = command
    const { graceMs = defaultSystemGraceMs, outputLimitBytes = defaultOutputLimitBytes } = limits
    return {
      command: command.command,
      args,
      cwd,
      env: { ...(this.#options.env ?? process.env), ...env },
      ...(timeoutMs !== undefined && { timeoutMs }),
      mark,
      graceMs,
      outputLimitBytes,
      endsWithOwner: recover === 'reap',
      ...(ownerSilenceMs !== undefined && { ownerSilenceMs }),
    }
  }
}

function elsewhere({ id }: ProcessRecord, { hostId }: Host): Error {
  return new ProcessError('process.elsewhere', { processId: id, hostId })
}

/** The supervisor with this identity, if pid, start time, boot and mark all match. */
function supervisorOf(
  { pid, startTime, bootId }: Spawned,
  { name, value }: ProcessMark,
  clock: Clock,
): Supervisor | undefined {
  if (startTime === undefined || bootId === undefined) return undefined
  const identity = { pid, startTime, bootId }
  const isIt = isStillRunning(identity) && hasVariable(identity.pid, name, value)
  return isIt ? new AdoptedSupervisor(identity, clock) : undefined
}

/** The exit report. An unreadable one counts as missing. */
function readReport({ directory }: Traces): ExitReport | 'unreadable' | undefined {
  try {
    return readExitReport(directory)
  } catch (error) {
    if (StatewardError.is(error, 'invalid_input')) return 'unreadable'
    throw error
  }
}

function causeOf(reason: unknown): string {
  return StatewardError.is(reason, 'process.run_stopped') ? (reason.data as { cause: string }).cause : messageOf(reason)
}
