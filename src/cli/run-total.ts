import type { RunEvent } from './run-events.js'

/** Counts the results of the tools of a run, from its events. */
export class RunTotal {
  #names: readonly string[] = []
  readonly #settled = new Set<string>()
  readonly #running = new Set<string>()

  /** Names of all tools. */
  get names(): readonly string[] {
    return this.#names
  }

  /** The fraction of tools with a result, from 0 to 1. */
  get fraction(): number {
    return this.#names.length === 0 ? 0 : this.#settled.size / this.#names.length
  }

  /** The same as text: `3 of 6`. */
  get text(): string {
    return `${this.#settled.size} of ${this.#names.length}`
  }

  /** How many tools have not been started yet. */
  get waiting(): number {
    return Math.max(0, this.#names.length - this.#settled.size - this.#running.size)
  }

  /** Handles the next event. */
  follow(event: RunEvent): void {
    switch (event.type) {
      case 'opened':
        this.#names = event.tools
        for (const { name } of event.before) this.#settled.add(name)
        break
      case 'started':
        this.#running.add(event.tool)
        break
      case 'ended':
        this.#running.delete(event.result.name)
        this.#settled.add(event.result.name)
        break
      case 'progress':
      case 'retrying':
      case 'reaped':
      case 'warning':
      case 'stopping':
        break
    }
  }
}
