import { ProcessError } from '../../../src/processes/errors.js'
import { eventOf, type ProcessEvent } from '../../../src/processes/event.js'
import { ProcessHub } from '../../../src/processes/hub.js'
import type { AwaitOutput } from '../../../src/processes/output.js'
import type { StoreWriters, TerminalState } from '../../../src/processes/store.js'

/** A store of one process whose answers a test scripts, and whose reads it can hold back. */
export class ScriptedStore {
  readonly hub = new ProcessHub()
  writers: StoreWriters = 'many'
  terminal: TerminalState = { state: 'running' }
  readonly events: ProcessEvent[] = []
  /** When reads began, by the clock that the test gives. */
  readonly reads: number[] = []
  /** Set: a read takes its answer, and hands it out when this resolves. */
  gate: Promise<void> | undefined
  failure: Error | undefined
  readonly #now: () => number

  constructor(now: () => number = () => 0) {
    this.#now = now
  }

  complete(output: AwaitOutput): void {
    this.terminal = { state: 'ended', status: 'completed', output }
  }

  append(eventType: string): ProcessEvent {
    const entry = { sequence: this.events.length + 1, eventType, payload: null, occurredAtMs: 0 }
    const event = eventOf('one', entry)
    this.events.push(event)
    return event
  }

  getTerminal(): Promise<TerminalState> {
    return this.#read(this.terminal)
  }

  firstEventAfter(processId: string, eventType: string, cursor: number): Promise<ProcessEvent | undefined> {
    if (this.terminal.state === 'unknown') return Promise.reject(new ProcessError('process.unknown', { processId }))
    return this.#read(this.events.find((event) => event.sequence > cursor && event.eventType === eventType))
  }

  eventsAfter(_: string, cursor: number): Promise<readonly ProcessEvent[]> {
    return this.#read(this.events.filter(({ sequence }) => sequence > cursor))
  }

  async #read<Value>(value: Value): Promise<Value> {
    this.reads.push(this.#now())
    if (this.failure !== undefined) throw this.failure
    await this.gate
    return value
  }
}

/** Lets everything run that is ready to. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
