import { clusterBackpressureChart } from '../../machines/cluster-backpressure.js'
import type { Place } from '../../machines/chart-table.js'
import type { PendingAction } from './action.js'
import { admit, collected, openAdmission, released, reserve, type Admission, type AdmissionState } from './admission.js'
import type { BackpressureEdge } from './dispatch.js'
import type { AdmissionGate } from './executor.js'
import type { DaemonId } from './ids.js'
import type { BackpressureOptions } from './options.js'
import type { MonotonicMs } from './vocabulary.js'

/** What an executor may do with an action now: remembers for {@link admit} what was admitted, and where the cluster flag stands. */
export class NodeAdmissionGate implements AdmissionGate {
  readonly #options: BackpressureOptions
  #state: AdmissionState = openAdmission
  #flag: Place<typeof clusterBackpressureChart.machine> = { value: 'steady', context: {} }

  constructor(options: BackpressureOptions) {
    this.#options = options
  }

  get isAsserted(): boolean {
    return this.#flag.value === 'asserted'
  }

  admit(pending: PendingAction, now: MonotonicMs): Admission {
    this.#state = collected(this.#state, now)
    const admission = admit(this.#state, pending.action, now, this.#options)
    if (admission.status === 'admitted') this.#state = reserve(this.#state, pending, now, this.#options)
    return admission
  }

  release(pending: PendingAction): void {
    this.#state = released(this.#state, pending)
  }

  /** The daemon may be started again: an operator has released it, or it has ended cleanly. */
  open(daemon: DaemonId): void {
    if (!this.#state.gatedDaemons.has(daemon)) return
    const gatedDaemons = new Map(this.#state.gatedDaemons)
    gatedDaemons.delete(daemon)
    this.#state = { ...this.#state, gatedDaemons }
  }

  measure(depth: number): BackpressureEdge | undefined {
    const { clusterThreshold: threshold, clusterRelease: release } = this.#options
    const next = clusterBackpressureChart.move(this.#flag, { type: 'depth', depth, threshold, release })
    if (next === undefined) return undefined
    this.#flag = next
    const level = Math.min(1, Math.max(0, (depth - release) / Math.max(1, threshold - release)))
    return { type: this.isAsserted ? 'asserted' : 'released', level }
  }
}
