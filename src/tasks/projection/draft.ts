import type { Run } from '../run.js'
import type { TaskView } from '../view.js'
import type { LayeredTable, PendingWrite } from './layered-table.js'
import type { TaskTables } from './tables.js'

/** A change of the tables in the making: its writes show in `view` at once, and to readers once committed. */
export class Draft {
  readonly tables: TaskTables
  /** The state with everything under way, this draft included. */
  readonly view: TaskView
  readonly #writes: PendingWrite[] = []

  constructor(tables: TaskTables, view: TaskView) {
    this.tables = tables
    this.view = view
  }

  /** Stages a row, or its removal. */
  put<Key, Row>(table: LayeredTable<Key, Row>, key: Key, row: Row | undefined): void {
    this.#writes.push(table.write(key, row))
  }

  /** Stages a run that is not known yet. */
  addRun(run: Run): void {
    this.put(this.tables.runs, run.id, run)
    this.#writes.push(this.tables.runsByTask.add(run.taskId, run.id))
  }

  /** Shows every write to readers, in the order they were made. */
  commit(): void {
    for (const write of this.#writes) write.commit()
  }

  /** Takes every write back. */
  discard(): void {
    for (let index = this.#writes.length - 1; index >= 0; index--) this.#writes[index]?.undo()
  }
}
