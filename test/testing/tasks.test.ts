import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createTaskSpec, type CommandType, type TaskCommand, type TaskId } from '../../src/tasks/index.js'
import { taskId } from '../../src/testing/tasks/ids.js'
import {
  assertTasksAgreement,
  checkTasksModel,
  ModelError,
  openTasks,
  TasksOracle,
  type TasksModelOptions,
  type TasksPort,
} from '../../src/testing/index.js'

/** Tasks of ours of which some members are others, in every life. */
function changed(change: (port: TasksPort) => Partial<TasksPort>): TasksModelOptions['open'] {
  const over = (port: TasksPort): TasksPort =>
    Object.create(port, Object.getOwnPropertyDescriptors(change(port))) as TasksPort
  return async () => {
    const system = await openTasks()
    return { ...system, port: over(system.port), crash: async () => over((await system.crash?.()) ?? system.port) }
  }
}

const taskIdOf = (number: number): TaskId => `00000001-0000-4000-8000-${String(number).padStart(12, '0')}` as TaskId

async function faultOf(options: TasksModelOptions): Promise<ModelError> {
  const report: unknown = await checkTasksModel(fc, { seed: 1, ...options }).catch((error: unknown) => error)
  expect(report).toBeInstanceOf(Error)
  const { message, cause } = report as Error
  expect(message).toContain('seed: 1,')
  expect(cause).toBeInstanceOf(ModelError)
  return cause as ModelError
}

it.each([
  [{}, 'invalid tasks model options: open: missing'],
  [{ open: openTasks, runs: 3 }, 'invalid tasks model options: runs: unknown, the fields are'],
  [{ open: openTasks, commands: ['task_creat'] }, 'invalid tasks model options: commands.0: Invalid'],
])('the search refuses %j before it opens anything', async (options, message) => {
  await expect(checkTasksModel(fc, options as never)).rejects.toMatchObject({
    code: 'invalid_input',
    message: expect.stringContaining(message),
  })
})

describe('the model of tasks finds nothing wrong with', () => {
  it('the tasks of a runtime, compared as a whole, through crashes', async () => {
    const search = checkTasksModel(fc, { open: openTasks, comparison: 'whole', numRuns: 30 })
    await expect(search).resolves.toBeUndefined()
  })

  it('a task that comes after one that was cancelled, whether it was declared before or after that', async () => {
    const [atMs, first, before, later] = [100, taskId(1), taskId(2), taskId(3)]
    const after = { type: 'dependency_declare', dependsOn: [], after: [first], atMs } as const
    const history: readonly TaskCommand[] = [
      ...[first, before, later].map((id) => {
        return { type: 'task_create', taskSpec: createTaskSpec({ id, kind: 'k' }), atMs } as const
      }),
      { ...after, taskId: before },
      { type: 'task_cancel', taskId: first, atMs: 300 },
      { ...after, taskId: later },
    ]
    const { port, close } = await openTasks()
    const oracle = new TasksOracle()
    for (const command of history) {
      expect(oracle.submit(command)).toBeUndefined()
      await port.submit(command)
      await expect(assertTasksAgreement(port, oracle, 'whole')).resolves.toBeUndefined()
    }
    await close?.()
  })

  it('a system of some commands, which answers late and tells little', async () => {
    const submitted = new Set<string>()
    const commands: readonly CommandType[] = ['task_create', 'run_create', 'run_state_transition', 'task_cancel']
    const open: TasksModelOptions['open'] = async () => {
      const { port, close } = await openTasks()
      return {
        port: {
          submit: async (command) => {
            submitted.add(command.type)
            await port.submit(command)
          },
          run: async (id) => {
            const run = await port.run?.(id)
            return run === undefined ? undefined : { state: run.state }
          },
        },
        ...(close !== undefined && { close }),
      }
    }
    await checkTasksModel(fc, { open, commands, numRuns: 20 })
    expect([...submitted].toSorted()).toEqual(commands.toSorted())
  })
})

describe('the model of tasks finds', () => {
  const faults: Record<string, readonly [(port: TasksPort) => Partial<TasksPort>, RegExp]> = {
    'a command that is answered and not taken': [
      (port) => ({ submit: async (command) => (command.type === 'task_cancel' ? {} : port.submit(command)) }),
      /the last sequence|the sequence of|should be/,
    ],
    'a refusal with another code': [
      (port) => ({
        submit: async (command) => {
          try {
            return await port.submit(command)
          } catch (cause) {
            throw Object.assign(new Error('no', { cause }), { code: 'refused' })
          }
        },
      }),
      /should be refused with \w+, but was refused with refused/,
    ],
    'a stale lease that is shown': [
      (port) => ({
        run: async (id) => ({ ...(await port.run?.(id)), lease: { owner: 'w0', expiresAtMs: 1, fencingToken: 1 } }),
      }),
      /^run /,
    ],
    'a task under its key that is another': [
      (port) => ({ taskByKey: async (key) => (await port.taskByKey?.(key)) && taskIdOf(9) }),
      /^the task of key k/,
    ],
    'a retry that nobody remembers': [() => ({ retryOf: () => undefined }), /^the retry of task /],
    'a prerequisite whatever its end that must have completed': [
      (port) => ({
        submit: async (command) => {
          if (command.type !== 'dependency_declare' || command.after === undefined) return port.submit(command)
          const { after, ...rest } = command
          return port.submit({ ...rest, dependsOn: [...rest.dependsOn, ...after] })
        },
      }),
      /^whether its prerequisites let task |should be refused with|should be taken/,
    ],
    'a budget that counts twice': [
      (port) => ({
        budget: async (taskId, dimension) => {
          const budget = await port.budget?.(taskId, dimension)
          return budget && { ...budget, consumed: 2 * (budget.consumed ?? 0) }
        },
      }),
      /^budget of token|^budget of time:ms/,
    ],
  }

  it.each(Object.entries(faults))(
    '%s',
    async (_, [change, message]) => {
      const { message: text, data } = await faultOf({ open: changed(change) })
      expect(text).toMatch(message)
      // The longest is that of a retry: a task fails first.
      expect(data.steps.length).toBeLessThanOrEqual(14)
    },
    60_000,
  )

  it('an end of an attempt that forgets what it settles', async () => {
    const forgetful = (port: TasksPort): Partial<TasksPort> => ({
      submit: async (command) => {
        if (command.type !== 'attempt_end' || command.settlements === undefined) return port.submit(command)
        const { settlements: _, ...rest } = command
        return port.submit(rest)
      },
    })
    const { message, data } = await faultOf({ open: changed(forgetful), numRuns: 200 })
    expect(message).toMatch(/^budget of |^open reservations|should be refused with unknown_reservation, but was/)
    expect(data.steps.at(-1)).toContain('attempt_end')
  })

  it('what a crash takes back although it was answered', async () => {
    const open: TasksModelOptions['open'] = async () => {
      const system = await openTasks()
      return { ...system, crash: async () => (await openTasks()).port }
    }
    const { message, data } = await faultOf({ open })
    expect(message).toMatch(/^the last sequence/)
    expect(data.steps).toHaveLength(2)
    expect(data.steps[1]).toBe('crash')
  })
})
