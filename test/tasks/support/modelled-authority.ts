import { expect } from 'vitest'
import type { JsonObject } from '../../../src/base/json.js'
import { Lane } from '../../../src/lane/lane.js'
import { taskCatalogue } from '../../../src/tasks/catalogue.js'
import { TaskAuthority, type CommandType, type TaskCommand } from '../../../src/tasks/index.js'
import { TasksOracle } from '../../../src/testing/tasks/oracle.js'

/** An authority beside the oracle, a replica that replays each of its events, and a copy that begins with a snapshot. */
export class ModelledAuthority {
  readonly oracle = new TasksOracle()
  readonly live = new TaskAuthority()
  readonly replica = new TaskAuthority()
  #copy: TaskAuthority | undefined

  static async open(): Promise<ModelledAuthority> {
    const model = new ModelledAuthority()
    model.live.start(await Lane.open({ streamFor: () => model.live }))
    model.live.onCommit(({ events }) => {
      for (const event of events) {
        const stored = stringified(taskCatalogue.encode(event))
        model.replica.replay(stored)
        model.#copy?.replay(stored)
      }
    })
    return model
  }

  /** All authorities that must stand the same. */
  get everyone(): readonly TaskAuthority[] {
    return [this.live, this.replica, ...(this.#copy === undefined ? [] : [this.#copy])]
  }

  /** Submits a command to the oracle and the authority, which must agree; the code of its refusal, if it was refused. */
  async submit(command: TaskCommand): Promise<string | undefined> {
    const expected = this.oracle.submit(command)
    const refusal = await this.live.submit<CommandType>(command).then(
      () => undefined,
      (error: unknown) => (error as { readonly code: string }).code,
    )
    expect({ command, refusal }).toEqual({ command, refusal: expected })
    return refusal
  }

  /** Begins the copy, from a snapshot of now. */
  takeSnapshot(): void {
    this.#copy = new TaskAuthority()
    for (const row of this.live.capture()) this.#copy.restore(stringified(row))
  }
}

/** As it comes back from a journal. */
function stringified(value: unknown): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject
}
