import { expect } from 'vitest'
import type { CommandType, TaskCommand, TaskProjection } from '../../../src/tasks/index.js'
import { expectRefusal, factsIn, openTasks, stateOf, submitAll, type ErrorData } from './authority.js'

interface Accepted {
  /** The fact, without `sequence` and `version`. */
  readonly event?: object
  readonly applied?: object
  /** Looks at the committed state afterwards. */
  readonly then?: (projection: TaskProjection) => void
}

interface When {
  /** The command is taken; live state and log agree about it. */
  accepts(expected?: Accepted): Promise<void>
  /** The command is refused with exactly this data; state and log are as before. */
  refuses<Code extends keyof ErrorData>(code: Code, data: ErrorData[Code]): Promise<void>
  /** The command is malformed: `field` is named; state and log are as before. */
  isInvalid(field: string): Promise<void>
}

/** Given commands that were taken, when one more comes, then: a specification of one command. */
export function given(...before: readonly (TaskCommand | readonly TaskCommand[])[]): {
  when(command: TaskCommand): When
} {
  const prepare = async () => {
    const tasks = await openTasks()
    await submitAll(tasks, before.flat())
    return { tasks, state: stateOf(tasks) }
  }
  return {
    when: (command) => ({
      async accepts({ event, applied, then } = {}) {
        const { tasks } = await prepare()
        const outcome = await tasks.authority.submit<CommandType>(command)
        const sequence = before.flat().length + 1
        expect(outcome.sequence).toBe(sequence)
        if (applied !== undefined) expect(outcome.applied).toEqual(applied)
        then?.(tasks.authority.projection)
        const live = stateOf(tasks)
        await tasks.lane.close()
        const facts = await factsIn(tasks.store)
        expect(facts).toHaveLength(sequence)
        if (event !== undefined) expect(facts.at(-1)).toEqual({ ...event, sequence, version: 1 })
        const replayed = await openTasks(tasks.store)
        expect(stateOf(replayed)).toEqual(live)
        then?.(replayed.authority.projection)
        await replayed.lane.close()
      },
      async refuses(code, data) {
        const { tasks, state } = await prepare()
        await expectRefusal(tasks.authority.submit<CommandType>(command), code, data)
        await expectUnchanged(tasks, state)
      },
      async isInvalid(field) {
        const { tasks, state } = await prepare()
        await expect(tasks.authority.submit<CommandType>(command)).rejects.toMatchObject({
          code: 'invalid_input',
          data: { field },
        })
        await expectUnchanged(tasks, state)
      },
    }),
  }

  async function expectUnchanged(tasks: Awaited<ReturnType<typeof openTasks>>, state: unknown[]): Promise<void> {
    expect(stateOf(tasks)).toEqual(state)
    await tasks.lane.close()
    expect(await factsIn(tasks.store)).toHaveLength(before.flat().length)
  }
}
