import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decode } from '../../../src/base/decode.js'
import { createDeferred } from '../../../src/base/promises.js'
import { backoffSchema, retryDelay } from '../../../src/tasks/dispatch/options.js'
import {
  AttemptAborted,
  budgetDimension,
  suspend,
  TerminalFailure,
  type HandlerContext,
} from '../../../src/tasks/index.js'
import { openRoom, start } from './support/room.js'

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()

describe('backoff', () => {
  it('[T-78] doubles up to its maximum, in whole milliseconds', () => {
    const backoff = { type: 'exponential', baseMs: 1500, maxMs: 10_000 } as const
    expect([1, 2, 3, 4, 2000].map((attempt) => retryDelay(backoff, attempt, () => 0))).toEqual([
      1500, 3000, 6000, 10_000, 10_000,
    ])
    expect(retryDelay({ type: 'fixed', delayMs: 1 }, 9, () => 0)).toBe(1)
    expect(retryDelay({ type: 'fixed', delayMs: 0 }, 1, () => 0)).toBe(0)
  })

  it('[T-78] saturates instead of leaving the countable milliseconds', () => {
    const backoff = { type: 'exponential', baseMs: 1, maxMs: Number.POSITIVE_INFINITY } as const
    expect(retryDelay(backoff, 5000, () => 0)).toBe(Number.MAX_SAFE_INTEGER)
  })

  it('[T-78] jitter takes away up to its share', () => {
    const backoff = { type: 'fixed', delayMs: 10_000, jitter: 0.5 } as const
    expect([0, 0.5, 0.999].map((random) => retryDelay(backoff, 1, () => random))).toEqual([10_000, 7500, 5005])
  })

  it.each([
    [{ type: 'fixed', delayMs: -1 }, 'delayMs'],
    [{ type: 'fixed', delayMs: 1, jitter: 2 }, 'jitter'],
    [{ type: 'exponential', baseMs: -1, maxMs: 5 }, 'baseMs'],
    [{ type: 'exponential', baseMs: 6, maxMs: 5 }, 'baseMs'],
    [{ type: 'exponential', baseMs: '1', maxMs: 5 }, 'baseMs'],
    [{ type: 'fixed', delayMs: 1, jiter: 0.1 }, 'jiter'],
    [{ type: 'linear', delayMs: 1 }, 'type'],
    [null, '$'],
  ] as const)('refuses %o', (backoff, field) => {
    expect(() => decode(backoffSchema, backoff, 'backoff')).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field }) }),
    )
  })
})

describe('retries', () => {
  it('[T-77] a run has as many attempts as its task allows, then it has failed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 6 }),
        async (maxAttempts, failures) => {
          const room = await openRoom()
          let calls = 0
          room.tasks.handle('work', () => {
            calls += 1
            if (calls <= failures) throw new Error('not yet')
          })
          const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts } })
          await room.pass(40)
          expect(calls).toBe(Math.min(maxAttempts, failures + 1))
          expect(room.statesOf(id)).toEqual([failures < maxAttempts ? 'completed' : 'failed'])
        },
      ),
      { numRuns: 12 },
    )
  })

  it('[T-78] the next attempt starts when the backoff is over, not one second earlier', async () => {
    const room = await openRoom({ dispatch: { backoff: { type: 'exponential', baseMs: 4000, maxMs: 60_000 } } })
    const at: number[] = []
    room.tasks.handle('work', () => {
      at.push((room.clock.wallNow() - start) / 1000)
      throw new Error('no')
    })
    await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 4 } })
    await room.pass(40)
    expect(at).toEqual([0, 4, 12, 28])
  })

  it('[T-78] jitter comes from the injected randomness', async () => {
    const random = [0, 0.5]
    const room = await openRoom({
      random: () => random.shift() ?? 0,
      dispatch: { backoff: { type: 'fixed', delayMs: 10_000, jitter: 1 } },
    })
    const at: number[] = []
    room.tasks.handle('work', () => {
      at.push((room.clock.wallNow() - start) / 1000)
      throw new Error('no')
    })
    await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 3 } })
    await room.pass(20)
    expect(at).toEqual([0, 10, 15])
  })

  it('[T-95] a run keeps its id over three attempts, with errors and final output, equal after a restart', async () => {
    const room = await openRoom()
    const seen: HandlerContext[] = []
    room.tasks.handle('work', (context) => {
      seen.push(context)
      if (seen.length < 3) throw new Error(`failure ${seen.length}`)
      return { answer: 42 }
    })
    const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 3 } })
    await room.pass(12)
    const outcome = await room.tasks.outcome(id)
    expect([outcome.status, text(outcome.output)]).toEqual(['completed', '{"answer":42}'])
    expect(new Set(seen.map(({ runId }) => runId)).size).toBe(1)
    expect(new Set(seen.map(({ attemptId }) => attemptId)).size).toBe(3)
    expect(seen.map(({ attemptNumber }) => attemptNumber)).toEqual([1, 2, 3])
    const tokens = seen.map(({ fencingToken }) => fencingToken)
    expect(tokens).toEqual(tokens.toSorted((one, other) => one - other))
    expect(new Set(tokens).size).toBe(3)
    const errors = room.runsOf(id)[0]?.attempts.map(({ outcome: ended }) => ended && 'error' in ended && ended.error)
    expect(errors).toEqual(['failure 1', 'failure 2', false])
    const later = await room.crash()
    expect(later.runsOf(id)).toEqual(room.runsOf(id))
    expect(await later.tasks.outcome(id)).toEqual(outcome)
  })

  it('[T-77] a terminal failure ends the run at once and is stored as such', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {
      throw new TerminalFailure('no such file')
    })
    const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 5 } })
    expect(await room.tasks.outcome(id)).toMatchObject({ status: 'failed', error: 'no such file' })
    expect(room.runsOf(id)[0]?.attempts).toMatchObject([
      { outcome: { result: 'failure', error: 'no such file', failureClass: 'terminal' } },
    ])
  })

  it('an output that JSON cannot hold fails the attempt instead of losing the run', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => 1n)
    const id = await room.tasks.submit({ kind: 'work' })
    expect(await room.tasks.outcome(id)).toMatchObject({ status: 'failed' })
  })
})

describe('timeouts', () => {
  it('[T-174] a handler that heeds its signal ends with a timeout that names the limit, and may be retried', async () => {
    const room = await openRoom()
    const reasons: unknown[] = []
    room.tasks.handle('work', async ({ signal, attemptNumber }) => {
      if (attemptNumber === 2) return 'done'
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          reasons.push(signal.reason)
          reject(new Error('stopped'))
        })
      })
    })
    const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2, timeoutMs: 30_000 } })
    await room.pass(29)
    expect(reasons).toEqual([])
    await room.pass(7)
    expect(reasons).toEqual([expect.any(AttemptAborted)])
    expect(reasons).toMatchObject([{ code: 'attempt_aborted', data: { cause: 'timeout' } }])
    expect(room.runsOf(id)[0]?.attempts.map(({ outcome }) => outcome)).toMatchObject([
      { result: 'timeout', error: 'attempt exceeded its limit of 30000 milliseconds' },
      { result: 'success' },
    ])
  })

  it('[T-175] what a handler has spent counts once, also when it ends after its attempt', async () => {
    const room = await openRoom()
    const gate = createDeferred<void>()
    room.tasks.handle('work', ({ budget }) => {
      budget.report('token', 5)
      return gate.promise
    })
    const constraints = { timeoutMs: 1000, maxAttempts: 1 }
    const id = await room.tasks.submit({ kind: 'work', constraints, budgets: { token: 100 } })
    await room.pass(2)
    expect(room.statesOf(id)).toEqual(['failed'])
    gate.resolve()
    await room.settle()
    expect(room.authority.projection.budget(id, budgetDimension('token'))?.consumed).toBe(5)
  })

  it('[T-175] the late end of an earlier attempt leaves the next one, its signal included, alone', async () => {
    const room = await openRoom({ dispatch: { backoff: { type: 'fixed', delayMs: 0 } } })
    const first = createDeferred<void>()
    let second: AbortSignal | undefined
    room.tasks.handle('work', ({ attemptNumber, signal }) => {
      if (attemptNumber === 1) return first.promise
      second = signal
      return new Promise(() => {})
    })
    const id = await room.tasks.submit({ kind: 'work', constraints: { timeoutMs: 5000, maxAttempts: 2 } })
    await room.pass(6)
    expect(second?.aborted).toBe(false)
    first.resolve()
    await room.settle()
    await room.tasks.cancel(id)
    await room.settle()
    expect(second?.aborted).toBe(true)
  })

  it('[T-175] a handler that ignores its signal loses its slot a moment later', async () => {
    const room = await openRoom({ dispatch: { concurrency: 1 } })
    room.tasks.handle('stuck', () => new Promise(() => {}))
    room.tasks.handle('work', () => {})
    const stuck = await room.tasks.submit({ kind: 'stuck', constraints: { timeoutMs: 5000 } })
    const next = await room.tasks.submit({ kind: 'work' })
    await room.pass(5)
    expect(room.statesOf(next)).toEqual(['ready'])
    await room.pass(1)
    expect([room.statesOf(stuck), room.statesOf(next)]).toEqual([['failed'], ['completed']])
  })

  it('[T-174] an answer that comes after the limit counts as a timeout', async () => {
    const room = await openRoom()
    const late = createDeferred<string>()
    room.tasks.handle('work', async ({ signal }) => {
      signal.addEventListener('abort', () => late.resolve('too late'))
      return late.promise
    })
    const id = await room.tasks.submit({ kind: 'work', constraints: { timeoutMs: 1000 } })
    await room.pass(2)
    expect(await room.tasks.outcome(id)).toMatchObject({
      status: 'failed',
      error: expect.stringContaining('1000 milliseconds'),
    })
  })

  it('[T-174] a suspension that comes after the limit stands, and is no timeout', async () => {
    const room = await openRoom()
    const late = createDeferred<unknown>()
    room.tasks.handle('work', async ({ signal, resumeFrom }) => {
      if (resumeFrom !== undefined) return `from ${text(resumeFrom)}`
      signal.addEventListener('abort', () => late.resolve(suspend('page 7')))
      return late.promise
    })
    const id = await room.tasks.submit({ kind: 'work', constraints: { timeoutMs: 1000, maxAttempts: 1 } })
    await room.pass(2)
    expect(room.runsOf(id)[0]).toMatchObject({ state: 'suspended', attempts: [{ outcome: { result: 'suspended' } }] })
    await room.tasks.resume(room.runsOf(id)[0]?.id as never)
    const { status, output } = await room.tasks.outcome(id)
    expect([status, text(output)]).toEqual(['completed', 'from page 7'])
  })
})

describe('suspension', () => {
  it('[T-87] a suspended run is resumed and completes although only one attempt is allowed', async () => {
    const room = await openRoom()
    const states: unknown[] = []
    room.tasks.handle('work', ({ resumeFrom, attemptNumber }) => {
      states.push([attemptNumber, text(resumeFrom)])
      return resumeFrom === undefined ? suspend({ page: 7 }) : 'done'
    })
    const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 1 } })
    await room.settle()
    expect(room.statesOf(id)).toEqual(['suspended'])
    expect(room.runsOf(id)[0]?.history.at(-1)).toMatchObject({ to: 'suspended', reason: 'handler' })
    const [run] = room.runsOf(id)
    await room.tasks.resume(run?.id as never)
    expect(await room.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect(states).toEqual([
      [1, ''],
      [1, '{"page":7}'],
    ])
  })

  it('[T-87] a running run is suspended on request, and only a running one', async () => {
    const room = await openRoom()
    room.tasks.handle('work', async ({ signal }) => {
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('stopped')))
      })
    })
    const id = await room.tasks.submit({ kind: 'work' })
    await room.settle()
    const runId = room.runsOf(id)[0]?.id as never
    room.tasks.suspend(runId)
    await room.settle()
    expect(room.runsOf(id)[0]).toMatchObject({
      state: 'suspended',
      history: expect.arrayContaining([expect.objectContaining({ reason: 'requested' })]),
    })
    expect(() => room.tasks.suspend(runId)).toThrow(expect.objectContaining({ code: 'run_suspend_requires_running' }))
    await expect(room.tasks.resume(id as never)).rejects.toMatchObject({ code: 'unknown_run' })
  })
})

describe('an attempt that has lost its run', () => {
  it('[T-148] is stopped, cannot finish, spend or submit, and frees its slot', async () => {
    const room = await openRoom({ dispatch: { concurrency: 1 } })
    const answer = createDeferred<string>()
    const contexts: HandlerContext[] = []
    room.tasks.handle('work', (context) => {
      contexts.push(context)
      return answer.promise
    })
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await room.settle()
    const [run] = room.runsOf(id)
    const { owner = '', expiresAtMs = 0 } = run?.lease ?? {}
    const runId = run?.id as never
    // Somebody decides that the owner is lost and gives the run to another.
    const taken = room.authority.transact((batch) => {
      const attemptId = run?.currentAttemptId as never
      batch.submit({ type: 'lease_expire', runId, owner, expiresAtMs, atMs: start })
      const outcome = { result: 'failure', error: 'lost', failureClass: 'retryable' } as const
      batch.submit({ type: 'attempt_finish', runId, attemptId, outcome, atMs: start })
      batch.submit({
        type: 'run_state_transition',
        runId,
        previousState: 'running',
        newState: 'retry_wait',
        retryAtMs: start + 99_000,
        atMs: start,
      })
    })
    const [context] = contexts
    // Nothing shows yet, but the decision has been made.
    expect(context?.signal.aborted).toBe(false)
    await expect(context?.budget.reserve('token', 5)).rejects.toMatchObject({ code: 'fencing_token_superseded' })
    await taken
    await room.settle()
    expect(context?.signal.reason).toMatchObject({ data: { cause: 'superseded' } })
    await expect(context?.budget.reserve('token', 5)).rejects.toMatchObject({ code: 'attempt_aborted' })
    await expect(context?.submit({ kind: 'work' })).rejects.toMatchObject({ code: 'fencing_token_superseded' })
    answer.resolve('I was faster')
    await room.settle()
    expect(room.statesOf(id)).toEqual(['retry_wait'])
    expect(room.runsOf(id)[0]?.attempts).toHaveLength(1)
    const next = await room.tasks.submit({ kind: 'work' })
    await room.settle()
    expect(room.statesOf(next)).toEqual(['completed'])
  })
})
