import type { StatelyInspectionEvent } from 'stateward/inspect'

/** The events that arrived somewhere. */
export class Received {
  readonly events: StatelyInspectionEvent[] = []
  readonly #checks = new Set<() => void>()

  add(event: StatelyInspectionEvent): void {
    this.events.push(event)
    for (const check of this.#checks) check()
  }

  /** Resolves once an event satisfies the condition. */
  until(isAwaited: (event: StatelyInspectionEvent) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!this.events.some(isAwaited)) return
        this.#checks.delete(check)
        resolve()
      }
      this.#checks.add(check)
      check()
    })
  }

  /** The names of the actors that were introduced, in order. */
  get names(): string[] {
    return this.events.flatMap((event) => (event.type === '@xstate.actor' ? event.name : []))
  }

  /** Everything but introductions as `<actor> <event type>`. */
  get steps(): string[] {
    const names = new Map<string, string>()
    return this.events.flatMap((event) => {
      if (event.type !== '@xstate.actor') return `${names.get(event.sessionId)} ${event.event.type}`
      names.set(event.sessionId, event.name)
      return []
    })
  }
}
