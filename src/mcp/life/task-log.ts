import { StatewardError } from '../../base/errors.js'
import type { JsonValue } from '../../base/json.js'
import { silence } from '../../base/promises.js'
import type { ProcessEvent, ProcessRecord, Processes } from '../../processes/index.js'
import { encodeValue } from '../../work/values.js'
import { advance, hasEnded, taskAtStart, taskOf, type TaskState } from '../wire/detailed-task.js'
import type { TaskPayload } from '../wire/shapes.js'

/** How many recently read tasks are cached. */
const mostRemembered = 512

/** Called for each event that changes a task, in order, and for status texts that are not stored. */
export type TaskListener = (state: TaskState) => void

/** Reads and writes the logs of the processes behind tasks, and tracks the followers of tasks. */
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

  /** The current state of a task. `undefined` if the id is not that of a task, or not one that a process can have. */
  async read(taskId: string): Promise<TaskState | undefined> {
    const record = await this.#processes.store.getProcess(taskId).catch(undefinedIfNoId)
    if (record === undefined) {
      this.#read.delete(taskId)
      return undefined
    }
    return this.readRecord(record)
  }

  /** The task of a process. */
  async readRecord(record: ProcessRecord): Promise<TaskState | undefined> {
    const { id, registrationHash, lastSequence } = record
    const known = this.#read.get(id)
    // A deleted id may be used again.
    const isSame = known?.registrationHash === registrationHash && known.sequence <= lastSequence
    const state = isSame ? known : taskOf(record)
    return state === undefined ? undefined : this.#upTo(lastSequence, state)
  }

  /** The task of a process that was just registered with this payload. Its end is noticed from now on. */
  async begun(taskId: string, payload: TaskPayload): Promise<TaskState> {
    this.expectEnd(taskId)
    const record = await this.#processes.store.getProcess(taskId)
    if (record === undefined) throw new TypeError(`task ${taskId} was registered and is not there`)
    const state = await this.#upTo(record.lastSequence, taskAtStart(taskId, payload, record.registrationHash))
    if (hasEnded(state)) this.#ended(state)
    return state
  }

  /** Writes an event to the log of a task, once under its key. */
  async append(taskId: string, eventType: string, payload: unknown, key: string): Promise<void> {
    await this.#processes.store.appendEvent(taskId, {
      eventType,
      payload: encodeValue(payload, eventType) as JsonValue,
      replay: { key: `mcp:${taskId}:${key}` },
    })
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
    // The task may have changed since the state was read.
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
    if (state !== undefined) this.#ended(state)
  }

  #ended(state: TaskState): void {
    if (!this.#live.delete(state.taskId)) return
    this.#texts.delete(state.taskId)
    this.#onEnd(state)
  }

  async #upTo(lastSequence: number, from: TaskState): Promise<TaskState> {
    if (from.sequence === lastSequence) return from
    let state = from
    for (const event of await this.#processes.store.eventsAfter(from.taskId, from.sequence))
      state = advance(state, event)
    this.#remember(state)
    return state
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

function undefinedIfNoId(refusal: unknown): undefined {
  if (StatewardError.is(refusal, 'invalid_input') || StatewardError.is(refusal, 'process.unknown')) return undefined
  throw refusal
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
