import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import type { Logger } from '../../base/logger.js'
import type { Run } from '../run.js'

/** What unhandled kinds are told with. */
export interface UnhandledKindsOptions {
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  readonly handlers: ReadonlyMap<string, unknown>
}

/** Milliseconds that a service has to register its handlers before it is told of kinds that have none. */
const patienceMs = 1000

/** Kinds of ready runs that nobody handles: told once each, because such a run waits in silence, perhaps for ever. */
export class UnhandledKinds implements Disposable {
  readonly #options: UnhandledKindsOptions
  /** By kind; those that have been told of have no deadline any more. */
  readonly #kinds = new Map<string, Deadline | undefined>()

  constructor(options: UnhandledKindsOptions) {
    this.#options = options
  }

  /** Notes a run that cannot start because of its kind. */
  note(kind: string, { id: runId, taskId }: Run): void {
    if (this.#kinds.has(kind)) return
    const { deadlines, logger, handlers } = this.#options
    const tell = (): void => {
      this.#kinds.set(kind, undefined)
      const fields = { kind, runId, taskId, handledKinds: [...handlers.keys()] }
      logger.warn(fields, 'a run is ready and nobody handles its kind: it waits until a handler is registered')
    }
    this.#kinds.set(kind, deadlines.after(patienceMs, tell))
  }

  /** Takes a kind that is handled now. */
  onHandled(kind: string): void {
    this.#kinds.get(kind)?.[Symbol.dispose]()
    this.#kinds.delete(kind)
  }

  [Symbol.dispose](): void {
    for (const deadline of this.#kinds.values()) deadline?.[Symbol.dispose]()
    this.#kinds.clear()
  }
}
