import { OrderedSet } from '../../base/ordered-set.js'
import type { RunId } from '../ids.js'
import { bySelection } from '../run-index.js'
import type { Run } from '../run.js'

/** The obstacle of a ready run. */
export type Blocker =
  | `kind:${string}`
  /** The limit of one kind, or of all. */
  | `slot:${string}`
  | 'slot'
  | `rate:${string}`
  | `key:${string}`
  | `gate:${string}`
  | `budget:${string}`
  | 'reservation'
  | 'capabilities'
  | 'cancellation'
  | 'lease'
  | 'refusal'
  /** A change that is in flight. */
  | 'commit'

/** Runs in selection order, and their common obstacle; `undefined` when they are in line. */
interface Group {
  readonly runs: OrderedSet<Run>
  blocker: Blocker | undefined
}

interface Place {
  readonly run: Run
  readonly group: Group
}

/** A group up to this size is put back in line run by run; a larger one as a whole, ... */
const mostMoved = 64
/** ... unless there are so many groups in line already that finding the first run would cost as much. */
const mostGroups = 64

/**
 * Ready runs in selection order. A blocked run is grouped with others that have the same obstacle, and costs nothing
 * until it is gone.
 */
export class Candidates {
  readonly #queue: Group = { runs: new OrderedSet<Run>(bySelection), blocker: undefined }
  /** Groups in line besides the queue, none of them empty. */
  readonly #returned = new Set<Group>()
  readonly #blocked = new Map<Blocker, Group>()
  readonly #places = new Map<RunId, Place>()

  /** The next run to look at. */
  get first(): Run | undefined {
    let first = this.#queue.runs.first
    for (const { runs } of this.#returned) {
      const other = runs.first
      if (other !== undefined && (first === undefined || bySelection(other, first) < 0)) first = other
    }
    return first
  }

  /** Puts a run in line, unless it already is. */
  add(run: Run): void {
    if (!this.#places.has(run.id)) this.#put(run, this.#queue)
  }

  /** Removes a run. */
  remove(runId: RunId): void {
    const place = this.#places.get(runId)
    if (place === undefined) return
    this.#places.delete(runId)
    const { run, group } = place
    group.runs.delete(run)
    if (group.runs.size > 0) return
    if (group.blocker !== undefined) this.#blocked.delete(group.blocker)
    else this.#returned.delete(group)
  }

  /** Takes a run out of the line until {@link Candidates.unblock}. */
  block(run: Run, blocker: Blocker): void {
    this.remove(run.id)
    const group = this.#blocked.get(blocker) ?? { runs: new OrderedSet<Run>(bySelection), blocker }
    this.#blocked.set(blocker, group)
    this.#put(run, group)
  }

  /** Puts runs back in line: all with this obstacle, at constant cost, or only the first. */
  unblock(blocker: Blocker, which: 'all' | 'first' = 'all'): void {
    const group = this.#blocked.get(blocker)
    if (group === undefined) return
    const { runs } = group
    if (which === 'all' && runs.size > mostMoved && this.#returned.size < mostGroups) {
      this.#blocked.delete(blocker)
      group.blocker = undefined
      this.#returned.add(group)
      return
    }
    for (const run of which === 'all' ? [...runs] : [runs.first]) if (run !== undefined) this.#return(run)
  }

  /** True when a run has an obstacle. */
  get isAnyBlocked(): boolean {
    return this.#blocked.size > 0
  }

  /** True when a run has this obstacle. */
  isBlocking(blocker: Blocker): boolean {
    return this.#blocked.has(blocker)
  }

  /** Puts one run back in line if it has this obstacle. */
  unblockRun(runId: RunId, blocker: Blocker): void {
    const place = this.#places.get(runId)
    if (place?.group.blocker === blocker) this.#return(place.run)
  }

  #return(run: Run): void {
    this.remove(run.id)
    this.#put(run, this.#queue)
  }

  #put(run: Run, group: Group): void {
    group.runs.add(run)
    this.#places.set(run.id, { run, group })
  }
}
