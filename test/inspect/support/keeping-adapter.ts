import type { AdapterState, InspectorAdapter, StatelyInspectionEvent } from 'stateward/inspect'
import { Received } from './received.js'

/** An adapter that keeps what it is sent, and changes its state when told to. */
export class KeepingAdapter implements InspectorAdapter {
  readonly received = new Received()
  state: AdapterState
  stops = 0
  #onChange: () => void = () => {}

  constructor(state: AdapterState = 'ready') {
    this.state = state
  }

  start(onChange: () => void): void {
    this.#onChange = onChange
  }

  send(event: StatelyInspectionEvent): void {
    this.received.add(event)
  }

  stop(): void {
    this.stops += 1
  }

  become(state: AdapterState): void {
    this.state = state
    this.#onChange()
  }
}
