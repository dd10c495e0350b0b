import type { InspectionStream } from '../stream/inspection-stream.js'
import { partKey } from '../stream/part-table.js'
import { partsOf, type CurrentPart } from '../views/parts.js'
import type { InspectedState } from '../views/state.js'

interface Told {
  readonly part: CurrentPart
  readonly text: string
}

/** Tells a stream of feeds, barriers, questions and budgets: each when it has changed, and once when it is over. */
export class ToldParts {
  #told = new Map<string, Told>()

  /** Tells what has changed since the last call. */
  tell(state: InspectedState, stream: InspectionStream): void {
    const before = this.#told
    this.#told = new Map()
    for (const part of partsOf(state)) {
      const key = partKey(part)
      const known = before.get(key)
      if (known !== undefined && part.isFixed) {
        this.#told.set(key, known)
        continue
      }
      const made = part.make()
      const text = JSON.stringify(made.row)
      this.#told.set(key, { part, text })
      if (known?.text !== text) stream.push({ type: 'part', ...made })
    }
    for (const [name, { part }] of before) {
      if (!this.#told.has(name)) stream.push({ type: 'part', part: part.part, key: part.key, row: null })
    }
  }
}
