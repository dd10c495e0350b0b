import { StatewardError } from '../../base/errors.js'
import { createDeferred, type Deferred } from '../../base/promises.js'
import type { Decided, ProcessCommand } from '../command.js'
import type { ProcessId } from '../scalars.js'
import type { Answer, GroupMode } from './command-group.js'

/** Options of a {@link CommandQueue}. */
export interface CommandQueueOptions {
  /** Runs commands in one transaction and answers each of them. */
  readonly run: (commands: readonly ProcessCommand<unknown>[], mode: GroupMode) => Promise<readonly Answer[]>
  /** The most groups in progress at a time. */
  readonly mostGroups: number
  /** The most commands in one group. */
  readonly mostCommands: number
}

/** A command and its waiting caller. */
interface Asked extends Deferred<Decided<unknown>> {
  readonly command: ProcessCommand<unknown>
}

/**
 * Collects commands that arrive while transactions are running, and runs them together in the next one.
 *
 * Commands of one process run in the order in which they arrived. A process that is locked by another transaction
 * delays no other: its commands leave the group and wait separately. If a group fails although the store works, each of
 * its commands is run alone, so that one that cannot be written does not fail the others.
 */
export class CommandQueue {
  readonly #options: CommandQueueOptions
  /** Commands not in progress, by process. */
  readonly #waiting = new Map<ProcessId, Asked[]>()
  /** Those of these processes that have nothing in progress. */
  readonly #ready = new Set<ProcessId>()
  readonly #busy = new Set<ProcessId>()
  /** Commands of processes that were locked by others, one list per process. */
  readonly #blocked: (readonly Asked[])[] = []
  #groups = 0
  #blockedGroups = 0
  #isScheduled = false

  constructor(options: CommandQueueOptions) {
    this.#options = options
  }

  /** Resolves with the decision once it is durable. Rejects with the refusal, or with the failure of the store. */
  submit<Result>(command: ProcessCommand<Result>): Promise<Decided<Result>> {
    const asked: Asked = { command, ...createDeferred<Decided<unknown>>() }
    const { processId } = command
    const before = this.#waiting.get(processId)
    if (before === undefined) this.#waiting.set(processId, [asked])
    else before.push(asked)
    if (!this.#busy.has(processId)) this.#ready.add(processId)
    this.#schedule()
    return asked.promise as Promise<Decided<Result>>
  }

  /** Starts groups in the next turn, so that commands submitted in this one run together. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      const { mostGroups } = this.#options
      while (this.#groups < mostGroups && this.#ready.size > 0) void this.#runGroup(this.#take())
      while (this.#blockedGroups < mostGroups && this.#blocked.length > 0) void this.#runBlocked()
    })
  }

  /** Takes the next commands, whole processes at a time, up to the limit. */
  #take(): readonly Asked[] {
    const taken: Asked[] = []
    for (const processId of this.#ready) {
      const room = this.#options.mostCommands - taken.length
      if (room === 0) break
      const waiting = this.#waiting.get(processId) ?? []
      taken.push(...waiting.splice(0, room))
      if (waiting.length === 0) this.#waiting.delete(processId)
      this.#ready.delete(processId)
      this.#busy.add(processId)
    }
    return taken
  }

  async #runGroup(group: readonly Asked[]): Promise<void> {
    this.#groups += 1
    const left = await this.#settle(group, { skipsLocked: true })
    this.#groups -= 1
    const leftOf = new Map<ProcessId, Asked[]>()
    for (const asked of left) {
      const { processId } = asked.command
      leftOf.set(processId, [...(leftOf.get(processId) ?? []), asked])
    }
    this.#blocked.push(...leftOf.values())
    this.#release(group.map(({ command }) => command.processId).filter((processId) => !leftOf.has(processId)))
  }

  /** Runs the commands of a locked process, waiting for the lock. */
  async #runBlocked(): Promise<void> {
    const group = this.#blocked.shift() ?? []
    this.#blockedGroups += 1
    await this.#settle(group, {})
    this.#blockedGroups -= 1
    this.#release(group.map(({ command }) => command.processId))
  }

  #release(processIds: readonly ProcessId[]): void {
    for (const processId of processIds) {
      this.#busy.delete(processId)
      if (this.#waiting.has(processId)) this.#ready.add(processId)
    }
    if (this.#ready.size > 0 || this.#blocked.length > 0) this.#schedule()
  }

  /** Runs commands and answers their callers. Resolves with those that were left out. */
  async #settle(group: readonly Asked[], mode: GroupMode): Promise<readonly Asked[]> {
    let answers: readonly Answer[]
    try {
      answers = await this.#options.run(
        group.map(({ command }) => command),
        mode,
      )
    } catch (failure) {
      if (group.length > 1 && !isOfAll(failure)) {
        for (const one of group) await this.#settle([one], {})
      } else {
        for (const { reject } of group) reject(failure)
      }
      return []
    }
    return group.filter((asked, index) => {
      const answer = answers[index] as Answer
      if (answer.type === 'decided') asked.resolve(answer.decided)
      else if (answer.type === 'refused') asked.reject(answer.refusal)
      return answer.type === 'left'
    })
  }
}

/** Whether a failure concerns the store, rather than one of the commands. */
function isOfAll(failure: unknown): boolean {
  return StatewardError.is(failure, 'store.unavailable') || StatewardError.is(failure, 'store.closed')
}
