import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../../../../src/base/logger.js'
import { createDeferred, type Deferred } from '../../../../src/base/promises.js'
import { createRuntime, type Runtime } from '../../../../src/runtime.js'
import { timedOut, type HandlerContext, type TaskId } from '../../../../src/tasks/index.js'
import type { DurableFixture, DurableWork } from '../../../../src/testing/durable-conformance.js'
import { SimulatedClock } from '../../../../src/testing/simulated-clock.js'

interface Call {
  readonly context: HandlerContext
  readonly result: Deferred<unknown>
}

/** Kinds that the suite calls. */
const calledKinds = ['section', 'a']

/**
 * Durable work that is the handler of a task, at concurrency 1, in a real directory. A crash leaves the process nothing but
 * what the directory holds at that moment: the next one opens a copy of it.
 */
export async function createTaskDurable(): Promise<DurableFixture> {
  const home = await mkdtemp(join(tmpdir(), 'stateward-durable-'))
  const opened: { readonly runtime: Runtime; readonly clock: SimulatedClock }[] = []
  let clock = new SimulatedClock(1_000_000_000)
  let calls: Call[] = []
  let unused: readonly string[] = []
  let handle: Disposable | undefined
  let generation = 0
  let taskId: TaskId | undefined

  const logger = {
    trace() {},
    debug() {},
    info() {},
    warn(fields: object) {
      if ('unused' in fields) unused = fields.unused as readonly string[]
    },
    error() {},
  } as unknown as Logger

  const handleCalls = ({ tasks }: Runtime): void => {
    for (const kind of calledKinds) {
      tasks.handle(kind, (context) => {
        const call = { context, result: createDeferred<unknown>() }
        calls.push(call)
        return call.result.promise
      })
    }
  }

  const open = async (): Promise<Runtime> => {
    const tasks = { concurrency: 1, backoff: { type: 'fixed', delayMs: 0 } } as const
    const runtime = await createRuntime({ dataDir: join(home, String(opened.length)), clock, logger, tasks })
    opened.push({ runtime, clock })
    handleCalls(runtime)
    return runtime
  }
  let runtime = await open()

  const settle = async (): Promise<void> => {
    const { projection } = runtime.tasks
    for (let quiet = 0; quiet < 3; quiet += 1) {
      const before = projection.latestSequence
      await runtime.flush()
      await new Promise(setImmediate)
      if (projection.latestSequence !== before) quiet = -1
    }
  }

  const submit = async (): Promise<TaskId> => {
    const constraints = { maxLosses: 100 }
    taskId ??= await runtime.tasks.submit({ kind: 'work', constraints })
    return taskId
  }

  return {
    async run(handler: (context: DurableWork) => unknown) {
      unused = []
      const result = createDeferred<unknown>()
      // What a crash cuts off answers nobody.
      result.promise.catch(() => {})
      handle?.[Symbol.dispose]()
      handle = runtime.tasks.handle('work', async (context) => {
        try {
          result.resolve(await handler(context))
        } catch (thrown) {
          result.reject(thrown)
          throw thrown
        }
      })
      const mine = generation
      try {
        const { tasks } = runtime
        const [value] = await Promise.all([result.promise, submit().then((id) => tasks.outcome(id))])
        return value
      } catch (failure) {
        // Of a process that is gone nothing is heard.
        if (mine !== generation) return new Promise(() => {})
        throw failure
      }
    },
    async crash() {
      await settle()
      generation += 1
      await cp(join(home, String(opened.length - 1)), join(home, String(opened.length)), {
        recursive: true,
        filter: (source) => !source.endsWith('lock'),
      })
      handle = undefined
      calls = []
      // What is left of the old process never sees time pass again.
      clock = new SimulatedClock(clock.wallNow())
      runtime = await open()
    },
    async answer(name, value) {
      await runtime.tasks.answer(await submit(), name, value)
      await settle()
    },
    async advance(milliseconds) {
      clock.advance(milliseconds)
      await settle()
    },
    async endCall(end) {
      await settle()
      const call = calls.shift()
      if (call === undefined) throw new Error('nothing is called')
      const { context, result } = call
      if ('reason' in end) {
        const { runId, attemptId, fencingToken } = context
        const ended = { runId, attemptId, fencingToken, outcome: timedOut(1), newState: 'failed' } as const
        await runtime.tasks.authority.submit({ type: 'attempt_end', ...ended, atMs: clock.wallNow() })
      }
      result.resolve('value' in end ? end.value : undefined)
      await settle()
      const { kind } = context.task
      return { kind, input: context.payload.length === 0 ? undefined : context.json() }
    },
    async waiting() {
      await settle()
      const [run] = runtime.tasks.projection.runsOf(await submit())
      const isSuspended = run?.state === 'suspended' && run.history.at(-1)?.reason === 'waiting'
      const isWaiting = runtime.jobs.list().some(({ owner, state }) => owner === taskId && state === 'waiting')
      if (!isSuspended && !(isWaiting && run?.isWaiting === true)) throw new Error('the work does not wait')
    },
    unused: () => unused,
    async dispose() {
      generation += 1
      for (const { runtime: process, clock: time } of opened) {
        const closed = process.close({ policy: 'terminate' })
        for (let turn = 0; turn < 5; turn += 1) {
          await new Promise(setImmediate)
          time.advance(1000)
        }
        await closed
      }
      await rm(home, { recursive: true })
    },
  }
}
