import type { Place } from '../../machines/chart-table.js'
import { clusterBackpressureChart } from '../../machines/cluster-backpressure.js'
import type { PendingAction } from './action.js'
import { AdmissionGate, pressureOf, type Admission } from './admission.js'
import type { BackpressureEdge } from './dispatch.js'
import type { ExecutorGate } from './executor.js'
import type { DaemonId } from './ids.js'
import type { BackpressureOptions } from './options.js'
import type { MonotonicMs } from './vocabulary.js'

/**
 * The gate that the executor asks before it dispatches an action: the reservations of other actions, and the state of
 * the cluster flag.
 */
export class NodeAdmissionGate implements ExecutorGate {
  readonly #options: BackpressureOptions
  readonly #reservations: AdmissionGate
  #flag: Place<typeof clusterBackpressureChart.machine> = { value: 'steady', context: {} }

  constructor(options: BackpressureOptions) {
    this.#options = options
    this.#reservations = new AdmissionGate(options)
  }

  get isAsserted(): boolean {
    return this.#flag.value === 'asserted'
  }

  admit(pending: PendingAction, now: MonotonicMs): Admission {
    this.#reservations.collect(now)
    const admission = this.#reservations.admit(pending.action, now)
    if (admission.status === 'admitted') this.#reservations.reserve(pending, now)
    return admission
  }

  release(pending: PendingAction): void {
    this.#reservations.release(pending)
  }

  /** Opens the gate of a daemon: an operator has released it, or it has ended cleanly. */
  open(daemon: DaemonId): void {
    this.#reservations.openDaemon(daemon)
  }

  measure(depth: number): BackpressureEdge | undefined {
    const { clusterThreshold: threshold, clusterRelease: release } = this.#options
    const next = clusterBackpressureChart.move(this.#flag, { type: 'depth', depth, threshold, release })
    if (next === undefined) return undefined
    this.#flag = next
    return { type: this.isAsserted ? 'asserted' : 'released', level: pressureOf(depth, this.#options) }
  }
}
