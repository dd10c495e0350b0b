import { silence } from '../../base/promises.js'
import type { ProcessEvent, ProcessRecord, Processes } from '../../processes/index.js'
import { advance, taskOf, type TaskState } from '../wire/detailed-task.js'

/** How many recently read tasks are cached. */
const mostRemembered = 512

/** Called for each event that changes a task, in order, and for status texts that are not stored. */
export type TaskListener = (state: TaskState) => void

/** Reads tasks from the logs of their processes, and tracks their followers. */
export class TaskLog implements Disposable {
  readonly #processes: Processes
  readonly #onFault: (failure: unknown) => void
  readonly #onEnd: (state: TaskState) => void
  /** Cache of task states, oldest first. */
  readonly #read = new Map<string, TaskState>()
  readonly #followed = new Map<string, Follower>()
  readonly #texts = new Map<string, string>()
  /** Live tasks whose end must be noticed. */
  readonly #live = new Set<string>()
  readonly #changed = new Set<string>()
  readonly #changes: Disposable

  constructor(processes: Processes, hooks: { onFault: (failure: unknown) => void; onEnd: (state: TaskState) => void }) {
    this.#processes = processes
    this.#onFault = hooks.onFault
    this.#onEnd = hooks.onEnd
    this.#changes = processes.onChange((id) => this.#onChange(id))
  }

  /** The number of tasks being followed. */
  get followed(): number {
    return this.#followed.size
  }

  /** The current state of a task. `undefined` if there is no process with this id or it is not a task. */
  async read(taskId: string): Promise<TaskState | undefined> {
    const { store } = this.#processes
    const record = await store.getProcess(taskId)
    if (record === undefined) {
      this.#read.delete(taskId)
      return undefined
    }
    return this.readRecord(record)
  }

  /** The task of a process. */
  async readRecord(record: ProcessRecord): Promise<TaskState | undefined> {
    const { store } = this.#processes
    const { id, registrationHash, lastSequence } = record
    const known = this.#read.get(id)
    // An id may come again once it was forgotten.
    const isSame = known?.registrationHash === registrationHash && known.sequence <= lastSequence
    let state = isSame ? known : taskOf(record)
    if (state === undefined || state.sequence === lastSequence) return state
    for (const event of await store.eventsAfter(id, state.sequence)) state = advance(state, event)
    this.#remember(state)
    return state
  }

  /** The latest status text that was not stored. */
  textOf(taskId: string): string | undefined {
    return this.#texts.get(taskId)
  }

  /** Sends a status text to current followers. */
  say(taskId: string, text: string): void {
    this.#texts.set(taskId, text)
    this.#followed.get(taskId)?.repeat()
  }

  /** Starts watching for the end of this task. */
  expectEnd(taskId: string): void {
    this.#live.add(taskId)
  }

  /** Calls the listener for every event that changes the task after the given state. */
  follow(state: TaskState, listener: TaskListener): Disposable {
    const { taskId } = state
    let follower = this.#followed.get(taskId)
    if (follower === undefined) this.#followed.set(taskId, (follower = new Follower(state)))
    const leave = follower.add(listener)
    // Something may have happened since it was read.
    this.#onChange(taskId)
    return {
      [Symbol.dispose]: () => {
        leave()
        if (follower.size === 0 && this.#followed.get(taskId) === follower) this.#followed.delete(taskId)
      },
    }
  }

  /** Removes a deleted task from the cache. */
  forget(taskId: string): void {
    this.#read.delete(taskId)
    this.#texts.delete(taskId)
    this.#live.delete(taskId)
  }

  [Symbol.dispose](): void {
    this.#changes[Symbol.dispose]()
    this.#followed.clear()
    this.#live.clear()
  }

  #onChange(taskId: string): void {
    if (!this.#followed.has(taskId) && !this.#live.has(taskId)) return
    if (this.#changed.size === 0) queueMicrotask(() => this.#look())
    this.#changed.add(taskId)
  }

  #look(): void {
    const changed = [...this.#changed]
    this.#changed.clear()
    for (const taskId of changed) silence(this.#lookAt(taskId).catch(this.#onFault))
  }

  async #lookAt(taskId: string): Promise<void> {
    const { store } = this.#processes
    const follower = this.#followed.get(taskId)
    if (follower !== undefined) await follower.advance(() => store.eventsAfter(taskId, follower.state.sequence))
    if (!this.#live.has(taskId)) return
    if ((await store.getTerminal(taskId)).state !== 'ended') return
    const state = await this.read(taskId)
    if (state === undefined || !this.#live.delete(taskId)) return
    this.#texts.delete(taskId)
    this.#onEnd(state)
  }

  #remember(state: TaskState): void {
    const { taskId, sequence } = state
    if ((this.#read.get(taskId)?.sequence ?? 0) > sequence) return
    this.#read.delete(taskId)
    this.#read.set(taskId, state)
    if (this.#read.size <= mostRemembered) return
    for (const oldest of this.#read.keys()) {
      this.#read.delete(oldest)
      break
    }
  }
}

/** One task and its followers. */
class Follower {
  readonly #listeners = new Set<TaskListener>()
  #state: TaskState
  #isReading = false
  #isDue = false

  constructor(state: TaskState) {
    this.#state = state
  }

  get state(): TaskState {
    return this.#state
  }

  get size(): number {
    return this.#listeners.size
  }

  add(listener: TaskListener): () => void {
    const own: TaskListener = (state) => listener(state)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  repeat(): void {
    for (const listener of this.#listeners) listener(this.#state)
  }

  /** Reads new events and reports them, one read at a time. */
  async advance(readNew: () => Promise<readonly ProcessEvent[]>): Promise<void> {
    this.#isDue = true
    if (this.#isReading) return
    this.#isReading = true
    try {
      while (this.#isDue) {
        this.#isDue = false
        for (const event of await readNew()) {
          const before = this.#state
          this.#state = advance(before, event)
          if (this.#state.updatedAtMs !== before.updatedAtMs || this.#state.place !== before.place) this.repeat()
        }
      }
    } finally {
      this.#isReading = false
    }
  }
}
