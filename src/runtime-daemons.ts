import { onAbort } from './base/abort.js'
import type { IdSource } from './base/ids.js'
import { createDeferred, silence } from './base/promises.js'
import type { ClusterConfiguration, DaemonDefinition, DaemonRunner, DaemonScope, RunningDaemon } from './node/index.js'
import {
  defaultSystemGraceMs,
  ProcessFailed,
  type ProcessHandle,
  type Processes,
  type SystemCommand,
} from './processes/index.js'

/**
 * A program of the operating system that runs as a daemon. What becomes of it when its node is gone says `recover`: default `adopt`.
 * In a cluster it ends with its node, also when that is frozen as a whole, and before anybody else may start it.
 */
export interface SystemDaemonOptions extends Omit<SystemCommand, 'recover' | 'timeoutMs' | 'ownerSilenceMs'> {
  readonly recover?: SystemCommand['recover']
}

/** What a program runs by. */
export interface DaemonProcesses {
  readonly processes: Processes
  readonly ids: IdSource
  /** How its node is one of several, if it is. */
  readonly cluster?: ClusterConfiguration | undefined
}

/** The variable that tells a program the fence of its lease. */
const fenceVariable = 'STATEWARD_FENCE'

/**
 * What a program of a cluster is bound by. It ends with its node, for another node may run it by the time that this one is there
 * again; and whether it is asked to end with the last grace of its lease, or because its node is gone or frozen, it has ended by
 * the time that the lease has.
 */
function clusterLimits(
  { graceMs = defaultSystemGraceMs }: SystemDaemonOptions,
  cluster: ClusterConfiguration,
): Pick<SystemCommand, 'recover' | 'graceMs' | 'ownerSilenceMs'> {
  const { leaseTtlMs, heartbeatMs, graceMs: leaseGraceMs } = cluster
  return {
    recover: 'reap',
    graceMs: Math.min(graceMs, leaseGraceMs / 2),
    // It may have been frozen a heartbeat after it renewed.
    ownerSilenceMs: leaseTtlMs - heartbeatMs - leaseGraceMs,
  }
}

/**
 * Runs a program as a daemon, by the processes of the runtime, which needs a `systemDirectory` for that: it is on record before it is
 * there, outlives its node if it is to be adopted, and is ended as a whole.
 *
 *     defineDaemon('proxy', new SystemDaemon({ command: 'nginx', args: ['-g', 'daemon off;'] }))
 */
export class SystemDaemon implements DaemonRunner {
  readonly kind = 'system'
  readonly #options: SystemDaemonOptions
  readonly #runtime: DaemonProcesses | undefined

  constructor(options: SystemDaemonOptions, runtime?: DaemonProcesses) {
    this.#options = options
    this.#runtime = runtime
  }

  /** The same with the processes of a runtime. */
  on(runtime: DaemonProcesses): SystemDaemon {
    return new SystemDaemon(this.#options, runtime)
  }

  async start(scope: DaemonScope): Promise<RunningDaemon> {
    const { processes, ids, cluster } = this.#bound()
    const { daemon, signal, fence } = scope
    const { env } = this.#options
    const handle = await processes.startCommand({
      recover: 'adopt',
      ...this.#options,
      ...(cluster !== undefined && clusterLimits(this.#options, cluster)),
      ...(fence !== undefined && { env: { ...env, [fenceVariable]: `${fence}` } }),
      id: `${idPrefixOf(scope)}${ids.uuid()}`,
      label: daemon.name,
    })
    await this.#spawned(handle, signal)
    return this.#running(processes, handle.id, signal)
  }

  async adopt(scope: DaemonScope): Promise<RunningDaemon | undefined> {
    const { processes } = this.#bound()
    const prefix = idPrefixOf(scope)
    const [found] = (await processes.list()).filter(({ id }) => id.startsWith(prefix))
    return found === undefined ? undefined : this.#running(processes, found.id, scope.signal)
  }

  /** Until it is there, has ended, or is not wanted any more. */
  async #spawned(handle: ProcessHandle, signal: AbortSignal): Promise<void> {
    try {
      for await (const { eventType } of handle.events({ signal })) if (eventType === 'system.spawned') return
    } catch (cause) {
      if (!signal.aborted) throw cause
    }
  }

  #running(processes: Processes, id: Parameters<Processes['get']>[1], signal: AbortSignal): RunningDaemon {
    const handle = processes.get(undefined, id)
    const ended = createDeferred<unknown>()
    handle.result().then(ended.resolve, (failure: unknown) => {
      // One that was told to end has ended as it was told.
      if (signal.aborted && failure instanceof ProcessFailed) ended.resolve(undefined)
      else ended.reject(failure)
    })
    const cancel = (): void => void handle.cancel('the daemon is to end').catch(ended.reject)
    if (signal.aborted) cancel()
    const forget = onAbort(signal, cancel)
    return { ended: silence(ended.promise.finally(forget)) }
  }

  #bound(): DaemonProcesses {
    if (this.#runtime !== undefined) return this.#runtime
    throw new TypeError('a program runs as a daemon of a runtime only')
  }
}

function idPrefixOf({ daemon: { id } }: DaemonScope): string {
  return `daemon-${id}-`
}

/** A definition whose program runs by these processes. */
export function boundTo(
  runtime: DaemonProcesses,
): (definition: DaemonDefinition, cluster: ClusterConfiguration | undefined) => DaemonDefinition {
  return (definition, cluster) =>
    definition.runner instanceof SystemDaemon
      ? { ...definition, runner: definition.runner.on({ ...runtime, cluster }) }
      : definition
}
