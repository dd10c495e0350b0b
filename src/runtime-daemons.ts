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
 * Options of an operating-system program that runs as a daemon. `recover` decides what happens to it when its node is
 * gone; default `adopt`. In a cluster it ends with its node, even if the node is frozen as a whole, and before any
 * other node may start it.
 */
export interface SystemDaemonOptions extends Omit<SystemCommand, 'recover' | 'timeoutMs' | 'ownerSilenceMs'> {
  readonly recover?: SystemCommand['recover']
}

/** The parts of a runtime that a program needs in order to run. */
export interface DaemonProcesses {
  readonly processes: Processes
  readonly ids: IdSource
  /** The cluster that its node belongs to, if any. */
  readonly cluster?: ClusterConfiguration | undefined
}

/** The environment variable that holds the fence of the program's lease. */
const fenceVariable = 'STATEWARD_FENCE'

/**
 * The limits of a program in a cluster. It ends with its node, because another node may be running it by the time this
 * one returns. Whether it is asked to end in the last grace period of its lease, or ends because its node is gone or
 * frozen, it has ended before the lease expires.
 */
function clusterLimits(
  { graceMs = defaultSystemGraceMs }: SystemDaemonOptions,
  cluster: ClusterConfiguration,
): Pick<SystemCommand, 'recover' | 'graceMs' | 'ownerSilenceMs'> {
  const { leaseTtlMs, heartbeatMs, graceMs: leaseGraceMs } = cluster
  return {
    recover: 'reap',
    graceMs: Math.min(graceMs, leaseGraceMs / 2),
    // The node may have frozen one heartbeat after it last renewed the lease.
    ownerSilenceMs: leaseTtlMs - heartbeatMs - leaseGraceMs,
  }
}

/**
 * Runs a program as a daemon through the processes of the runtime, which needs a `systemDirectory` for this. The
 * program is recorded before it is spawned, outlives its node if `recover` is `adopt`, and ends together with
 * everything it has started.
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

  /** Returns a copy that runs through the processes of this runtime. */
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

  /** Resolves once the program was spawned, its process has ended, or the signal has aborted. */
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
      // A daemon that was asked to end has ended as intended.
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

/** Binds a definition to the processes of a runtime if its runner is a {@link SystemDaemon}. */
export function boundTo(
  runtime: DaemonProcesses,
): (definition: DaemonDefinition, cluster: ClusterConfiguration | undefined) => DaemonDefinition {
  return (definition, cluster) =>
    definition.runner instanceof SystemDaemon
      ? { ...definition, runner: definition.runner.on({ ...runtime, cluster }) }
      : definition
}
