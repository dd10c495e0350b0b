import assert from 'node:assert/strict'
import type { DurableContext } from '../work/durable-context.js'
import type { SuiteFunctions } from './journal-conformance.js'

/** The context of durable work, shared by every kind of durable handler. */
export type DurableWork = Pick<DurableContext, 'step' | 'waitFor' | 'sleep' | 'sleepUntil' | 'call'>

/** One piece of durable work under test, with as many executions and processes as its test needs. */
export interface DurableFixture {
  /** Starts an execution of the work with this code, after the previous one has ended or crashed. */
  run(handler: (context: DurableWork) => unknown): Promise<unknown>
  /** Ends the running execution like a killed process: nothing more is heard of it, and what is durable stays. */
  crash(): Promise<void>
  /** Answers a question, whether it was asked yet or not. */
  answer(name: string, value: unknown): Promise<void>
  /** Advances the time, and waits for what this causes. */
  advance(milliseconds: number): Promise<void>
  /** Ends the oldest open call, with a result or a failure. Resolves with the kind and input of the call. */
  endCall(end: { readonly value: unknown } | { readonly reason: string }): Promise<{ kind: string; input: unknown }>
  /** Resolves once the execution is only waiting and has given back its slot. */
  waiting(): Promise<void>
  /** Recorded keys that the last ended execution did not ask for, as reported by the system under test. */
  unused(): readonly string[]
  dispose?(): Promise<void>
}

/**
 * Defines a suite that every system with durable handlers must pass: steps run once, their order and names, early and
 * late answers, times and calls across crashes, and waits that do not block others.
 *
 *     durableConformance({ describe, it }, 'tasks', async () => createFixture())
 */
export function durableConformance(
  { describe, it }: SuiteFunctions,
  name: string,
  createFixture: () => Promise<DurableFixture>,
): void {
  const test = (behaviour: string, run: (fixture: DurableFixture) => Promise<void>): unknown =>
    it(behaviour, async () => {
      const fixture = await createFixture()
      try {
        await run(fixture)
      } finally {
        await fixture.dispose?.()
      }
    })

  describe(`durable work in ${name}`, () => {
    test('a step is done once, and its result is handed to every later execution', async ({ run, crash }) => {
      let done = 0
      const never = new Promise(() => {})
      void run(async (context) => {
        await context.step('draft', () => ({ count: ++done, bytes: new Uint8Array([1]) }))
        await never
      })
      await untilTrue(() => done === 1)
      await crash()
      const again = await run((context) => context.step('draft', () => ({ count: ++done, bytes: new Uint8Array() })))
      assert.deepEqual([again, done], [{ count: 1, bytes: new Uint8Array([1]) }, 1])
    })

    test('a step that failed is done again', async ({ run }) => {
      let tries = 0
      const work = (): string => {
        tries += 1
        if (tries === 1) throw new Error('not yet')
        return 'done'
      }
      assert.equal(
        await run(async (context) => {
          await assert.rejects(context.step('first', work), /not yet/)
          return context.step('second', work)
        }),
        'done',
      )
      assert.equal(tries, 2)
    })

    test('repeats of a name are numbered in their order', async ({ run, crash }) => {
      const handler = async (context: DurableWork): Promise<number[]> => {
        const results: number[] = []
        for (const value of [1, 2, 3]) results.push(await context.step('page', () => value))
        return results
      }
      void run(async (context) => {
        await handler(context)
        await new Promise(() => {})
      })
      await settle()
      await crash()
      assert.deepEqual(await run(handler), [1, 2, 3])
    })

    test('a name in flight twice is refused', async ({ run }) => {
      await run(async (context) => {
        const slow = context.step('same', () => settle().then(() => 1))
        await assert.rejects(
          context.step('same', () => 2),
          { code: 'name_in_flight' },
        )
        assert.equal(await slow, 1)
        await assert.rejects(context.waitFor(''), { code: 'invalid_input' })
      })
    })

    test('an answer that comes before its question is kept, and given once', async ({ run, answer }) => {
      await answer('approval', { approved: true })
      assert.deepEqual(await run((context) => context.waitFor('approval')), { approved: true })
    })

    test('an answer reaches the execution that waits, and those after a crash', async ({
      run,
      answer,
      crash,
      waiting,
    }) => {
      const handler = (context: DurableWork): Promise<unknown> => context.waitFor('approval')
      void run(handler)
      await waiting()
      await crash()
      const waits = run(handler)
      await waiting()
      await answer('approval', 'yes')
      assert.equal(await waits, 'yes')
    })

    test('a question that nobody answers in time says so, counted from when it was first asked', async ({
      run,
      advance,
      crash,
      waiting,
    }) => {
      const handler = (context: DurableWork): Promise<unknown> =>
        context.waitFor('approval', undefined, { timeoutMs: 60_000 })
      void run(handler)
      await waiting()
      await advance(40_000)
      await crash()
      const rejected = assert.rejects(run(handler), { code: 'wait_timed_out' })
      await waiting()
      await advance(20_000)
      await rejected
    })

    test('a sleep ends at the instant that its first execution named', async ({ run, advance, crash, waiting }) => {
      const handler = async (context: DurableWork): Promise<string> => {
        await context.sleep(10_000)
        return 'awake'
      }
      void run(handler)
      await waiting()
      await advance(9000)
      await crash()
      const sleeps = run(handler)
      await waiting()
      await advance(1000)
      assert.equal(await sleeps, 'awake')
    })

    test('a call is made once, whatever becomes of its caller, and its result is handed on', async ({
      run,
      crash,
      endCall,
      waiting,
    }) => {
      const handler = (context: DurableWork): Promise<unknown> => context.call({ kind: 'section' }, { topic: 'cranes' })
      void run(handler)
      await waiting()
      await crash()
      const waits = run(handler)
      await waiting()
      assert.deepEqual(await endCall({ value: 'text' }), { kind: 'section', input: { topic: 'cranes' } })
      assert.equal(await waits, 'text')
    })

    test('calls with one input are told apart by their order', async ({ run, endCall, waiting }) => {
      const waits = run((context) => Promise.all([context.call({ kind: 'a' }, 1), context.call({ kind: 'a' }, 1)]))
      await waiting()
      await endCall({ value: 'first' })
      await endCall({ value: 'second' })
      assert.deepEqual(await waits, ['first', 'second'])
    })

    test('a call that ends without a result says why', async ({ run, endCall, waiting }) => {
      const waits = run((context) => context.call({ kind: 'section' }, undefined))
      const rejected = assert.rejects(waits, { code: 'call_failed', data: { kind: 'section', reason: 'deadline' } })
      await waiting()
      await endCall({ reason: 'deadline' })
      await rejected
    })

    test('several waits go on together', async ({ run, answer, advance, endCall, waiting }) => {
      const waits = run((context) =>
        Promise.all([
          context.call({ kind: 'a' }, 1),
          context.sleep(5000),
          context.waitFor('name'),
          context.waitFor('age'),
        ]),
      )
      await waiting()
      await answer('age', 7)
      await advance(5000)
      await endCall({ value: 'a' })
      await answer('name', 'Ada')
      assert.deepEqual(await waits, ['a', undefined, 'Ada', 7])
    })

    test('what is recorded and not asked for any more is told', async ({ run, crash, unused }) => {
      void run(async (context) => {
        await context.step('name', () => 1)
        await new Promise(() => {})
      })
      await settle()
      await crash()
      await run((context) => context.step('another name', () => 2))
      assert.deepEqual(unused(), ['step:name'])
    })

    test('a result that has no form in JSON is refused with its path', async ({ run }) => {
      await run(async (context) => {
        await assert.rejects(
          context.step('bad', () => ({ when: [new Date(0)] })),
          {
            code: 'invalid_input',
            data: {
              subject: 'result of step bad',
              field: 'when.0',
              reason: 'an instance of Date has no form in JSON: pass a plain object, text or bytes',
            },
          },
        )
      })
    })
  })
}

/** Runs everything that can happen without advancing the time. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
}

async function untilTrue(test: () => boolean): Promise<void> {
  while (!test()) await settle()
  await settle()
}
