import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import type { Logger } from '../../base/logger.js'
import type { Run } from '../run.js'

/** Options of {@link UnhandledKinds}. */
export interface UnhandledKindsOptions {
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  readonly handlers: ReadonlyMap<string, unknown>
}

/** Milliseconds that a service has to register its handlers before missing ones are logged. */
const patienceMs = 1000

/**
 * Kinds of ready runs that have no handler. Each is logged once, because such a run waits in silence, perhaps for ever.
 */
export class UnhandledKinds implements Disposable {
  readonly #options: UnhandledKindsOptions
  /** By kind; `undefined` once it was logged. */
  readonly #kinds = new Map<string, Deadline | undefined>()

  constructor(options: UnhandledKindsOptions) {
    this.#options = options
  }

  /** Records a run that cannot start because its kind has no handler. */
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

  /** Called when a handler of a kind was registered. */
  onHandled(kind: string): void {
    this.#kinds.get(kind)?.[Symbol.dispose]()
    this.#kinds.delete(kind)
  }

  [Symbol.dispose](): void {
    for (const deadline of this.#kinds.values()) deadline?.[Symbol.dispose]()
    this.#kinds.clear()
  }
}
