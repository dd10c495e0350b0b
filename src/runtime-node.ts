import type { Logger } from './base/logger.js'
import { faultFields } from './base/error-details.js'
import { silence } from './base/promises.js'
import type { LocalNode, NodeHistory, NodeSnapshot } from './node/index.js'
import type { SessionDirectory } from './operations/index.js'
import type { Processes } from './processes/index.js'
import type { Tasks } from './tasks/index.js'
import type { JobList } from './work/job-list.js'

/** The other parts of a runtime, which follow the maintenance of its node. */
export interface NodeSurroundingRooms {
  readonly sessions: SessionDirectory
  readonly tasks: Tasks
  readonly processes: Processes
  readonly jobs: JobList
  readonly history: NodeHistory
  readonly logger: Logger
}

const draining: ReadonlySet<string> = new Set(['entering_maintenance', 'maintenance', 'drain_failed'])

/** The durable checkpoint that records that maintenance has paused the tasks. */
const pausedKey = 'tasks_paused'

/**
 * Takes the rest of the runtime out of service with its node, and back. While the node drains, tasks are paused, new
 * operations are refused, and processes that can run elsewhere are handed over; the drain waits until the rest has
 * ended (14.11). Afterwards the tasks resume only if maintenance paused them, even if that happened in an earlier
 * process.
 */
export class NodeMaintenance {
  readonly #rooms: NodeSurroundingRooms
  #isDraining = false
  /** Changes are made one after another. */
  #changing: Promise<void> = Promise.resolve()

  constructor(rooms: NodeSurroundingRooms) {
    this.#rooms = rooms
  }

  /** Follows the node until it ends. */
  follow(node: LocalNode): void {
    const { sessions, jobs } = this.#rooms
    node.addParticipant({ name: 'operations', isIdle: () => sessions.activeCount === 0 })
    node.addParticipant({ name: 'tasks', isIdle: () => jobs.sizeOf('tasks') === 0 })
    node.addParticipant({ name: 'processes', isIdle: () => jobs.sizeOf('processes') === 0 })
    node.onSnapshot((snapshot) => this.#follow(snapshot))
  }

  #follow({ localMaintenance: { status } }: NodeSnapshot): void {
    const isDraining = draining.has(status)
    if (isDraining === this.#isDraining) return
    this.#isDraining = isDraining
    const { sessions, processes, logger } = this.#rooms
    sessions.takeWork(!isDraining)
    if (isDraining) processes.hold()
    else processes.release()
    const change = (): Promise<void> => (isDraining ? this.#pauseTasks() : this.#resumeTasks())
    this.#changing = silence(
      this.#changing.then(change).catch((cause: unknown) => {
        logger.error({ ...faultFields(cause) }, 'tasks could not be paused or resumed for maintenance')
      }),
    )
  }

  async #pauseTasks(): Promise<void> {
    const { tasks, history } = this.#rooms
    if (tasks.projection.engine.paused) return
    // Recorded before pausing, so that a crash cannot leave tasks paused with no record of why.
    await history.change({ keep: [{ key: pausedKey, content: { type: 'tasks_paused' } }] })
    await tasks.pauseEngine()
  }

  async #resumeTasks(): Promise<void> {
    const { tasks, history } = this.#rooms
    if (history.checkpoint(pausedKey) === undefined) return
    await tasks.resumeEngine()
    await history.change({ forget: [pausedKey] })
  }
}
