import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as v from 'valibot'
import { createDeferred, type Deferred } from '../../src/base/promises.js'
import { defineProcess, type ProcessRunContext } from '../../src/processes/public.js'
import { connectRestate, registerRestate, serveRestate, type RestateWorker } from '../../src/restate/index.js'
import { durableConformance, type DurableFixture, type DurableWork } from '../../src/testing/durable-conformance.js'
import { Resources } from './support/resources.js'
import { startRestateServer } from './support/server.js'

/** Time cannot be moved on the engine: what the suite waits for is that much shorter, and passes by itself. */
const shorter = 100

/** What the suite asks for and the engine cannot do, with the reason. */
const cannot: Readonly<Record<string, string>> = {
  'what is recorded and not asked for any more is told':
    'its journal is a list in the order of the calls: other code does not fit it and is paused (see faults.test.ts)',
}

interface Call {
  readonly kind: string
  readonly input: unknown
  readonly end: Deferred<unknown>
}

/** One piece of durable work and the code that it runs next. */
interface Work {
  code: Deferred<(context: DurableWork) => unknown>
  result: Deferred<unknown>
  readonly calls: Call[]
  /** Waits that were begun by the execution under way. */
  waits: number
  /** Steps whose work is done, until that is durable. */
  readonly recording: Set<Promise<unknown>>
  generation: number
}

const resources = new Resources()
const works = new Map<string, Work>()
const anything = v.unknown()
const address = { ingress: '', port: 0 }
let worker: RestateWorker

const work = defineProcess(
  'work',
  { disposition: 'rerunnable', signals: { approval: anything, name: anything, age: anything } },
  async (_: unknown, context) => {
    const own = works.get(context.processId) as Work
    const { generation } = own
    const handler = await own.code.promise
    if (generation !== own.generation) return new Promise(() => {})
    own.waits = 0
    try {
      const value = await handler(observed(context, own))
      own.result.resolve(value)
      return null
    } catch (thrown) {
      own.result.reject(thrown)
      throw thrown
    }
  },
)
const called = (kind: string) =>
  defineProcess(kind, { disposition: 'rerunnable' }, async (input: unknown, { processId, step }) => {
    const own = works.get(processId.split('/')[0] as string) as Work
    return step('end', () => {
      const end = createDeferred<unknown>()
      own.calls.push({ kind, input, end })
      return end.promise
    })
  })

const serve = (): Promise<RestateWorker> =>
  serveRestate({ definitions: [work, called('section'), called('a')], ...address })

/** The context of a run, with shorter times, which tells of what it does. */
function observed(context: ProcessRunContext, own: Work): DurableWork {
  const waiting = <Value>(wait: Promise<Value>): Promise<Value> => {
    own.waits += 1
    return wait
  }
  return {
    step: (name: string, run: (scope: never) => unknown, options: object | undefined) => {
      const done = createDeferred<void>()
      const step = context.step(
        name,
        async (scope) => {
          const output = await run(scope as never)
          own.recording.add(done.promise)
          return output
        },
        options,
      )
      const over = (): void => {
        own.recording.delete(done.promise)
        done.resolve()
      }
      step.then(over, over)
      return step
    },
    sleep: (durationMs: number) => waiting(context.sleep(durationMs / shorter)),
    sleepUntil: (instant: number | Date) => waiting(context.sleepUntil(instant)),
    waitFor: (name: string, schema: undefined, options: { timeoutMs?: number } = {}) =>
      waiting(
        context.waitFor(
          name,
          schema as never,
          options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs / shorter },
        ),
      ),
    call: (kind: never, input: unknown) => waiting(context.call(kind, input)),
  } as unknown as DurableWork
}

const until = async (test: () => boolean): Promise<void> => {
  while (!test()) await new Promise((resolve) => setTimeout(resolve, 5))
}

async function createFixture(): Promise<DurableFixture> {
  const id = randomUUID()
  const own: Work = {
    code: createDeferred(),
    result: createDeferred(),
    calls: [],
    waits: 0,
    recording: new Set(),
    generation: 0,
  }
  works.set(id, own)
  const session = connectRestate({ ingress: address.ingress }).processes(id)
  await session.start(work, null, { id })
  return {
    run(handler) {
      own.result = createDeferred()
      const { promise } = own.result
      promise.catch(() => {})
      own.code.resolve(handler)
      return promise
    },
    async crash() {
      await Promise.all(own.recording)
      own.generation += 1
      own.code = createDeferred()
      // What is cut off is heard no more.
      own.result = createDeferred()
      await worker.close()
      own.waits = 0
      worker = await serve()
    },
    answer: (name, value) => session.signal(id, name, value),
    // It passes by itself.
    advance: async () => {},
    async endCall(end) {
      await until(() => own.calls.length > 0)
      const { kind, input, end: ending } = own.calls.shift() as Call
      if ('value' in end) ending.resolve(end.value)
      else ending.reject(Object.assign(new Error('no result'), { code: end.reason }))
      return { kind, input }
    },
    waiting: () => until(() => own.waits > 0),
    unused: () => [],
    dispose: async () => void (await session.cancel(id)),
  }
}

beforeAll(async () => {
  const server = resources.use(await startRestateServer())
  address.ingress = server.ingress
  worker = await serve()
  address.port = worker.port
  await registerRestate({ admin: server.admin, uri: worker.uri })
})
afterAll(async () => {
  await worker.close()
  await resources.close()
})

const asked: string[] = []

/** Defines what the engine can do; what it cannot is only noted. */
const defined = (name: string, run: () => Promise<void>): void => {
  asked.push(name)
  // oxlint-disable-next-line vitest/no-conditional-tests, vitest/valid-title, vitest/expect-expect -- tests of the suite
  if (!(name in cannot)) it(name, run)
}

durableConformance({ describe, it: defined }, 'processes on Restate (R-10, R-12)', createFixture)

it('passes the whole suite but for what is listed here with its reason', () => {
  expect(asked.length).toBeGreaterThan(10)
  expect(asked.filter((name) => name in cannot)).toEqual(Object.keys(cannot))
})
