import { hostname } from 'node:os'
import { readBootId, readPidNamespace, readProcessStatus } from '../../base/process-status.js'
import type { LeaseOwner, LivenessCheck } from '../lease.js'

/** Where pids are valid. */
export interface Host {
  /** One table of pids: the machine name and its pid namespace. Every container has its own. */
  readonly hostId: string
  /** Different after every boot. */
  readonly bootId: string
}

/** Used if the system does not identify its boots. */
const unknownBoot = 'unknown'

/** The host of this Node process. */
export function thisHost(): Host {
  return { hostId: `${hostname()}/${readPidNamespace() ?? 'unknown'}`, bootId: readBootId() ?? unknownBoot }
}

/** Whether both are known to be the same boot of the same host. */
export function isSameBoot(one: Host, other: Host): boolean {
  return one.hostId === other.hostId && one.bootId === other.bootId && one.bootId !== unknownBoot
}

/**
 * The liveness information of a worker on a shared store, from which {@link isLocalOwnerDead} can tell when it is gone.
 */
export function localLiveness(): NonNullable<LeaseOwner['liveness']> {
  const { hostId, bootId } = thisHost()
  const { pid } = process
  const processStart = readProcessStatus(pid)?.startTime
  if (processStart === undefined || bootId === unknownBoot) return { type: 'opaque' }
  return { type: 'local_process', hostId, bootId, pid, processStart }
}

/** True if the holder was a process on this host that is gone. Nothing is known about other hosts. */
export const isLocalOwnerDead: LivenessCheck = ({ owner: { liveness } }) => {
  if (liveness?.type !== 'local_process') return false
  const { hostId, bootId } = thisHost()
  if (liveness.hostId !== hostId || bootId === unknownBoot) return false
  if (liveness.bootId !== bootId) return true
  const status = readProcessStatus(liveness.pid)
  return status === undefined || status.hasEnded || status.startTime !== liveness.processStart
}
