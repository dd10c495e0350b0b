import type { ActorRow, StreamEntry } from './protocol.js'

/** The maximum number of remembered actors: running ones, of which the oldest are dropped first, and ended ones. */
export interface ActorBounds {
  readonly live: number
  readonly ended: number
  /** UTF-16 units of everything remembered about them. */
  readonly characters: number
}

const usualBounds: ActorBounds = { live: 20_000, ended: 20_000, characters: 64 * 1024 * 1024 }

/** The state of every actor that a stream has reported, folded from its entries. */
export class ActorTable {
  readonly #rows: Map<string, ActorRow>
  /** The ended ones, in the order they ended. */
  readonly #ended: Set<string>
  readonly #bounds: ActorBounds
  #characters: number

  constructor(bounds: ActorBounds = usualBounds, from?: ActorTable) {
    this.#bounds = bounds
    this.#rows = new Map(from === undefined ? [] : from.#rows)
    this.#ended = new Set(from === undefined ? [] : from.#ended)
    this.#characters = from === undefined ? 0 : from.#characters
  }

  /** An independent copy. */
  copy(): ActorTable {
    return new ActorTable(this.#bounds, this)
  }

  /** An empty table with the same bounds. */
  empty(): ActorTable {
    return new ActorTable(this.#bounds)
  }

  get size(): number {
    return this.#rows.size
  }

  row(actor: string): ActorRow | undefined {
    return this.#rows.get(actor)
  }

  /** In the order they were announced. */
  rows(): Iterable<ActorRow> {
    return this.#rows.values()
  }

  /** The number of running actors in each innermost state of a chart. */
  occupancy(machine: string): Record<string, number> {
    const counts = new Map<string, number>()
    for (const { machine: chart, status, states } of this.#rows.values()) {
      if (chart !== machine || status !== 'active') continue
      for (const state of states) counts.set(state, (counts.get(state) ?? 0) + 1)
    }
    return Object.fromEntries(counts)
  }

  /** Folds the next entry of the stream. */
  take(entry: StreamEntry): void {
    switch (entry.type) {
      case 'actor': {
        const { actor, name, machine, parent, item, states, n } = entry
        this.#ended.delete(actor)
        this.#put({
          actor,
          name,
          ...(machine !== undefined && { machine }),
          ...(parent !== undefined && { parent }),
          ...(item !== undefined && { item }),
          states,
          status: 'active',
          changedAt: n,
        })
        return
      }
      case 'transition': {
        // The entry that announced it may have been dropped.
        const known = this.#rows.get(entry.actor) ?? { actor: entry.actor, name: entry.actor }
        this.#put({ ...known, states: entry.states, status: 'active', changedAt: entry.n })
        return
      }
      case 'end': {
        const known = this.#rows.get(entry.actor)
        if (known === undefined) return
        this.#ended.add(entry.actor)
        this.#rows.set(entry.actor, { ...known, status: entry.status, changedAt: entry.n })
        if (this.#ended.size > this.#bounds.ended) this.#drop(this.#ended.values())
        return
      }
      default:
        return
    }
  }

  #put(row: ActorRow): void {
    this.#characters += charactersOf(row) - charactersOf(this.#rows.get(row.actor))
    this.#rows.set(row.actor, row)
    while (this.#characters > this.#bounds.characters && this.#rows.size > 1)
      this.#drop(this.#ended.size > 0 ? this.#ended.values() : this.#rows.keys())
    if (this.#rows.size - this.#ended.size > this.#bounds.live) this.#drop(this.#rows.keys())
  }

  #drop(actors: Iterator<string>): void {
    const { value: first } = actors.next()
    if (first === undefined) return
    this.#ended.delete(first)
    this.#characters -= charactersOf(this.#rows.get(first))
    this.#rows.delete(first)
  }
}

/** The approximate memory that an actor takes. */
function charactersOf(row: ActorRow | undefined): number {
  if (row === undefined) return 0
  const { actor, name, machine, parent, states } = row
  let characters = actor.length + name.length + (machine?.length ?? 0) + (parent?.length ?? 0)
  for (const state of states) characters += state.length
  return characters
}
