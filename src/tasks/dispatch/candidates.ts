import type { RunId } from '../ids.js'
import { bySelection } from '../run-index.js'
import { OrderedSet } from '../../base/ordered-set.js'
import type { Run } from '../run.js'

/** What a ready run waits for, and of what. */
export type Blocker =
  | `kind:${string}`
  | `key:${string}`
  | `gate:${string}`
  | `budget:${string}`
  | 'reservation'
  | 'capabilities'
  | 'cancellation'
  | 'lease'
  | 'refusal'
  /** What is under way and not durable yet. */
  | 'commit'

interface Place {
  readonly run: Run
  readonly blocker: Blocker | undefined
}

/**
 * Ready runs in the order of selection. A run that cannot start is put with the others that wait for the same, and
 * costs nothing until that happens.
 */
export class Candidates {
  readonly #queue = new OrderedSet<Run>(bySelection)
  readonly #blocked = new Map<Blocker, OrderedSet<Run>>()
  readonly #places = new Map<RunId, Place>()

  /** The next run to look at. */
  get first(): Run | undefined {
    return this.#queue.first
  }

  /** Lets a run stand in line, unless it does already. */
  add(run: Run): void {
    if (this.#places.has(run.id)) return
    this.#places.set(run.id, { run, blocker: undefined })
    this.#queue.add(run)
  }

  /** Forgets a run. */
  remove(runId: RunId): void {
    const place = this.#places.get(runId)
    if (place === undefined) return
    this.#places.delete(runId)
    const { run, blocker } = place
    if (blocker === undefined) this.#queue.delete(run)
    else this.#leave(blocker, run)
  }

  /** Takes a run out of the line until {@link Candidates.unblock}. */
  block(run: Run, blocker: Blocker): void {
    this.remove(run.id)
    this.#places.set(run.id, { run, blocker })
    const waiting = this.#blocked.get(blocker)
    if (waiting !== undefined) return waiting.add(run)
    const first = new OrderedSet<Run>(bySelection)
    first.add(run)
    this.#blocked.set(blocker, first)
  }

  /** Puts runs back in line: all that waited for it, or only the first in the order of selection. */
  unblock(blocker: Blocker, which: 'all' | 'first' = 'all'): void {
    const waiting = this.#blocked.get(blocker)
    if (waiting === undefined) return
    for (const run of which === 'all' ? [...waiting] : [waiting.first]) {
      if (run === undefined) continue
      this.remove(run.id)
      this.add(run)
    }
  }

  /** Puts one run back in line if it waits for this. */
  unblockRun(runId: RunId, blocker: Blocker): void {
    const place = this.#places.get(runId)
    if (place?.blocker !== blocker) return
    this.remove(runId)
    this.add(place.run)
  }

  #leave(blocker: Blocker, run: Run): void {
    const waiting = this.#blocked.get(blocker)
    waiting?.delete(run)
    if (waiting?.size === 0) this.#blocked.delete(blocker)
  }
}
