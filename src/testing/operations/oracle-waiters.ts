import type { OperationId, OperationOutcome, TurnId } from '../../../machines/operation-vocabulary.js'
import type { OracleWait, OracleWatch } from './rows.js'

/** An independent model of those who wait for ends: watches of one operation, and waits of turns for several. */
export class OracleWaiters {
  #watches: OracleWatch[] = []
  #waits: OracleWait[] = []

  /** All watches of this process, including those that were answered. */
  get watches(): readonly OracleWatch[] {
    return this.#watches
  }

  /** All waits of this process, including the active ones. */
  get waits(): readonly OracleWait[] {
    return this.#waits
  }

  /** The active waits, at most one per turn, oldest first. */
  get pending(): readonly OracleWait[] {
    return this.#waits.filter(({ state }) => state === 'pending')
  }

  /** Watches an operation, which may have ended. */
  watch(operationId: OperationId, outcome: OperationOutcome | undefined): OracleWatch {
    const watch: OracleWatch = { operationId, state: outcome === undefined ? 'pending' : 'resolved', outcome }
    this.#watches.push(watch)
    return watch
  }

  /** Waits for operations, some of which may have ended. */
  wait(
    turnId: TurnId,
    members: readonly OperationId[],
    outcomeOf: (id: OperationId) => OperationOutcome | undefined,
  ): OracleWait {
    const wait: OracleWait = { turnId, members, outcomes: new Map(), state: 'pending' }
    for (const id of members) {
      const outcome = outcomeOf(id)
      if (outcome !== undefined) wait.outcomes.set(id, outcome)
    }
    this.#waits.push(wait)
    this.satisfy()
    return wait
  }

  /** Whether an active wait names the operation. */
  isPinned(id: OperationId): boolean {
    return this.pending.some(({ members }) => members.includes(id))
  }

  /** Tells everyone who waits for the operation. */
  ended(id: OperationId, outcome: OperationOutcome): void {
    for (const watch of this.#watches) {
      if (watch.operationId !== id || watch.state !== 'pending') continue
      watch.state = 'resolved'
      watch.outcome = outcome
    }
    for (const wait of this.pending) if (wait.members.includes(id)) wait.outcomes.set(id, outcome)
  }

  /** Ends the waits all of whose members have ended. */
  satisfy(): void {
    for (const wait of this.pending) if (wait.outcomes.size === wait.members.length) wait.state = 'satisfied'
  }

  /** Does something of which nobody who waits learns. */
  unseen(change: () => void): void {
    const [watches, waits] = [this.#watches, this.#waits]
    this.#watches = []
    this.#waits = []
    change()
    this.#watches = watches
    this.#waits = waits
  }

  /** The process has died: nobody waits any more. */
  close(): void {
    for (const watch of this.#watches) if (watch.state === 'pending') watch.state = 'closed'
    for (const wait of this.pending) wait.state = 'closed'
    this.#watches = []
    this.#waits = []
  }
}
