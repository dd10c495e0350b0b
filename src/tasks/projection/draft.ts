import { Draft as StateDraft } from '../../state/draft.js'
import type { Run } from '../run.js'
import type { TaskView } from '../view.js'
import type { TaskTables } from './tables.js'

/** A change of the tasks room in the making. */
export class Draft extends StateDraft<TaskTables, TaskView> {
  /** Stages a run that is not known yet. */
  addRun(run: Run): void {
    this.put(this.tables.runs, run.id, run)
    this.add(this.tables.runsByTask.add(run.taskId, run.id))
  }
}
