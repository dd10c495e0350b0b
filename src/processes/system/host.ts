import { hostname } from 'node:os'
import { readBootId, readPidNamespace, readProcessStatus } from '../../base/process-status.js'
import type { LeaseOwner, LivenessCheck } from '../lease.js'

/** Where process ids mean something. */
export interface Host {
  /** One table of processes: the name of the machine and its pid namespace, of which containers have their own. */
  readonly hostId: string
  /** Another one after every start of the system. */
  readonly bootId: string
}

/** Stands for a boot where the system does not tell one from another. */
const unknownBoot = 'unknown'

/** The host of this process. */
export function thisHost(): Host {
  return { hostId: `${hostname()}/${readPidNamespace() ?? 'unknown'}`, bootId: readBootId() ?? unknownBoot }
}

/** Whether both are the same boot of the same host, for certain. */
export function isSameBoot(one: Host, other: Host): boolean {
  return one.hostId === other.hostId && one.bootId === other.bootId && one.bootId !== unknownBoot
}

/** What a worker on a store of several hosts says of itself, so that {@link isLocalOwnerDead} can tell when it is gone. */
export function localLiveness(): NonNullable<LeaseOwner['liveness']> {
  const { hostId, bootId } = thisHost()
  const { pid } = process
  const processStart = readProcessStatus(pid)?.startTime
  if (processStart === undefined || bootId === unknownBoot) return { type: 'opaque' }
  return { type: 'local_process', hostId, bootId, pid, processStart }
}

/** Whether the holder was a process of this host that is gone. Of other hosts nothing is known. */
export const isLocalOwnerDead: LivenessCheck = ({ owner: { liveness } }) => {
  if (liveness?.type !== 'local_process') return false
  const { hostId, bootId } = thisHost()
  if (liveness.hostId !== hostId || bootId === unknownBoot) return false
  if (liveness.bootId !== bootId) return true
  const status = readProcessStatus(liveness.pid)
  return status === undefined || status.hasEnded || status.startTime !== liveness.processStart
}
