import { describe, expect, it } from 'vitest'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import type { WorkContext } from '../../src/operations/execution.js'
import { childSource, idOf, openFixture, refusal, refusalOf, specOf, stateOf } from '../operations/support/registry.js'
import { job, scriptedWork, startWork } from './support/work.js'

async function outcomeOf(work: (context: WorkContext) => unknown) {
  const { session, operations } = await openFixture()
  const { id, outcome } = session.run(job, work)
  return { id, outcome: await outcome, snapshot: operations.snapshot(id) }
}

describe('the result of work', () => {
  it.each([
    ['a string as it is', 'text', 'text'],
    ['an empty string', '', ''],
    ['an object as JSON', { a: [1, null] }, '{"a":[1,null]}'],
    ['a number as JSON', 7, '7'],
    ['null as JSON', null, 'null'],
    ['nothing as nothing', undefined, ''],
    ['what JSON leaves out as nothing', { left: undefined }, '{}'],
  ])('becomes the content: %s', async (_, value, content) => {
    const { id, outcome } = await outcomeOf(() => value)
    expect(outcome).toEqual({
      type: 'completed',
      result: { id, content, isError: false, durationMs: 0, tokensUsed: 0 },
    })
  })

  it('is awaited, and its duration and tokens are accounted for', async () => {
    const { session, clock } = await openFixture()
    const { id, outcome, context, result } = await startWork(session)
    context.useTokens(3)
    clock.advance(40)
    context.useTokens(4)
    result.resolve('done')
    expect(await outcome).toEqual({
      type: 'completed',
      result: { id, content: 'done', isError: false, durationMs: 40, tokensUsed: 7 },
    })
  })

  it.each([
    [
      'thrown at once',
      () => {
        throw new Error('broken')
      },
      'broken',
    ],
    [
      'rejected',
      async () => {
        throw new TypeError('broken later')
      },
      'broken later',
    ],
    [
      'that is no Error',
      () => {
        throw 'a word' as unknown as Error
      },
      'a word',
    ],
  ])('that is an error fails the operation with its message: %s', async (_, work, error) => {
    expect((await outcomeOf(work)).outcome).toEqual({
      type: 'failed',
      error,
      reason: 'threw',
      cause: expect.objectContaining({ message: error }),
    })
  })

  it.each([-1, 0.5, Number.NaN, 2 ** 53, '5', 5n, null, Symbol('5'), Object.create(null)])(
    'is not accounted with tokens that are no number of them: that fails the work',
    async (count) => {
      const { outcome } = await outcomeOf(({ useTokens }) => useTokens(count as number))
      expect(outcome).toMatchObject({ type: 'failed', error: expect.stringContaining('token count') })
    },
  )
})

describe('running an operation', () => {
  it('registers and starts it during the call, and calls the work afterwards', async () => {
    const { session, operations } = await openFixture()
    const { work, started } = scriptedWork()
    const { id } = session.run({ ...job, sourceLabel: 'shell', operationSource: childSource }, work)
    expect(operations.snapshot(id)).toMatchObject({
      status: 'running',
      displayName: 'job',
      sourceLabel: 'shell',
      ownerSessionId: 'owner',
      childSessionId: 'child-1',
    })
    expect(await stateOf(started)).toMatchObject({ id })
  })

  it('takes the id it is given, and the kind for a label', async () => {
    const { session, operations } = await openFixture()
    const { id, outcome } = session.run({ ...job, id: idOf(5) }, () => {})
    expect(id).toBe(idOf(5))
    await outcome
    expect(operations.snapshot(idOf(5))?.sourceLabel).toBe('background_tool_op')
  })

  it('counts progress and shows the latest in the view, while it runs', async () => {
    const { session, operations } = await openFixture()
    const { id, context, result, outcome } = await startWork(session)
    context.progress('one', 0.5)
    context.progress('two')
    expect(operations.snapshot(id)?.progressCount).toBe(2)
    expect(session.view.row(id)?.progress).toEqual({ message: 'two' })
    result.resolve('')
    await outcome
    context.progress('three')
    expect(operations.snapshot(id)?.progressCount).toBe(2)
    expect(session.view.row(id)).not.toHaveProperty('progress')
  })

  it('refuses progress that is no fraction from 0 to 1, a percent for instance, and counts nothing', async () => {
    const { session, operations } = await openFixture()
    const { id, context, result, outcome } = await startWork(session)
    for (const fraction of [50, -0.1, Number.NaN]) {
      expect(refusalOf(() => context.progress('half', fraction))).toMatchObject({
        code: 'invalid_input',
        subject: 'operation progress',
        field: 'fraction',
      })
    }
    for (const fraction of [0, 1]) context.progress('at an end', fraction)
    expect(operations.snapshot(id)?.progressCount).toBe(2)
    result.resolve('')
    await outcome
  })

  it('is refused by a full registry: the outcome rejects and the work is never called', async () => {
    const { session, operations } = await openFixture({ maxConcurrent: 1 })
    await startWork(session)
    const refused = scriptedWork()
    const { id, outcome, cancel } = session.run(job, refused.work)
    expect(await refusal(outcome)).toEqual({ code: 'max_concurrent_exceeded', limit: 1, active: 1 })
    expect(await refusal(cancel())).toMatchObject({ code: 'max_concurrent_exceeded' })
    expect(operations.snapshot(id)).toBeUndefined()
    expect(await stateOf(refused.started)).toBe('pending')
  })

  it('under an id that is taken is refused, and neither its handle nor its end touch the other operation', async () => {
    const { session, operations, run } = await openFixture()
    await run([1])
    const { outcome, cancel } = session.run({ ...job, id: idOf(1) }, () => 'imposter')
    const ended = operations.cancelOperation(idOf(1), 'the real one')
    expect(await refusal(outcome)).toEqual({ code: 'already_registered', id: idOf(1) })
    await ended
    expect(await refusal(cancel())).toMatchObject({ code: 'already_registered' })
    expect(operations.snapshot(idOf(1))?.outcome).toEqual({ type: 'cancelled', reason: 'the real one' })
  })

  it('under an id of its own that still runs is refused, and the first goes on', async () => {
    const { session } = await openFixture()
    const first = await startWork(session)
    const second = session.run({ ...job, id: first.id }, () => 'second')
    expect(await refusal(second.outcome)).toMatchObject({ code: 'already_registered' })
    first.result.resolve('first')
    expect(await first.outcome).toMatchObject({ result: { content: 'first' } })
  })

  it.each([
    ['id', { id: 'not-an-id' as OperationId }],
    ['displayName', { displayName: 'x'.repeat(2000) }],
  ])('with a bad %s rejects with invalid_input', async (field, part) => {
    const { session } = await openFixture()
    expect(await refusal(session.run({ ...job, ...part }, () => {}).outcome)).toMatchObject({
      code: 'invalid_input',
      field,
    })
  })

  it.each([-1, Number.NaN])('with a deadline of %d rejects with invalid_input', async (deadlineMs) => {
    const { session } = await openFixture()
    const { outcome } = session.run(job, () => {}, { deadlineMs })
    expect(await refusal(outcome)).toMatchObject({ code: 'invalid_input', field: 'deadlineMs' })
  })

  it('may be ignored altogether: nothing is an unhandled rejection', async () => {
    const { session, runtime } = await openFixture({ maxConcurrent: 1 })
    session.run(job, () => new Promise(() => {}))
    session.run(job, () => {})
    session.run({ ...job, id: 'not-an-id' as OperationId }, () => {})
    expect(await refusal(runtime.close({ policy: 'terminate' }))).toBe('resolved')
  })
})

describe('ending an operation without its work', () => {
  it('by cancelling aborts the signal with the outcome as its reason', async () => {
    const { session } = await openFixture()
    const { id, context, outcome, cancel } = await startWork(session)
    await cancel('not needed')
    expect(await outcome).toEqual({ type: 'cancelled', reason: 'not needed' })
    expect(context.signal.aborted).toBe(true)
    expect(context.signal.reason).toMatchObject({
      code: 'operation_ended',
      data: { id, outcome: { type: 'cancelled', reason: 'not needed' } },
    })
  })

  it('cannot be undone by work that ignores it', async () => {
    const { session, operations } = await openFixture()
    const { id, outcome, cancel, result } = await startWork(session)
    await cancel()
    result.resolve('too late')
    await Promise.resolve()
    expect(await outcome).toEqual({ type: 'cancelled', reason: null })
    expect(operations.snapshot(id)?.status).toBe('cancelled')
    expect(session.feed.since(0).entries).toHaveLength(1)
  })

  it('[O-165] answers that it has ended already, evicted ones too', async () => {
    const { session, operations } = await openFixture({ maxCompleted: 1 })
    const first = session.run(job, () => 'done')
    await first.outcome
    expect(await first.cancel()).toBe('already_ended')
    await session.run(job, () => 'done').outcome
    expect(operations.snapshot(first.id)).toBeUndefined()
    expect(await first.cancel()).toBe('already_ended')
    const { cancel } = await startWork(session)
    const answers = await Promise.all([cancel('first'), cancel('second')])
    expect(answers).toEqual(['cancelled', 'already_ended'])
  })

  it('before the work was called leaves it uncalled', async () => {
    const { session } = await openFixture()
    const { work, started } = scriptedWork()
    const { outcome, cancel } = session.run(job, work)
    await cancel('at once')
    expect(await outcome).toEqual({ type: 'cancelled', reason: 'at once' })
    expect(await stateOf(started)).toBe('pending')
  })

  it('by the host of the registry settles the handle too', async () => {
    const { session, operations } = await openFixture()
    const { id, context, outcome } = await startWork(session)
    await operations.failOperation(id, 'the host says so')
    expect(await outcome).toEqual({ type: 'failed', error: 'the host says so' })
    expect(context.signal.aborted).toBe(true)
  })

  it('leaves the signal alone when the work had returned', async () => {
    const { session } = await openFixture()
    const { context, outcome, result } = await startWork(session)
    result.resolve('done')
    await outcome
    expect(context.signal.aborted).toBe(false)
  })

  it('can be asked for: the work winds down in its own way', async () => {
    const { session, operations } = await openFixture()
    const { id, context, outcome, result } = await startWork(session)
    await operations.requestRetire(id)
    expect(context.retiring.aborted).toBe(true)
    expect(context.signal.aborted).toBe(false)
    result.resolve('wound down')
    expect(await outcome).toMatchObject({ type: 'completed', result: { content: 'wound down' } })
  })
})

describe('a deadline', () => {
  it('fails the operation and aborts the signal when it passes', async () => {
    const { session, clock } = await openFixture()
    const { context, outcome } = await startWork(session, { deadlineMs: 100 })
    clock.advance(99)
    expect(context.signal.aborted).toBe(false)
    clock.advance(1)
    expect(await outcome).toEqual({ type: 'failed', error: 'deadline of 100 ms exceeded', reason: 'deadline' })
    expect(context.signal.aborted).toBe(true)
  })

  it('that the work meets is forgotten', async () => {
    const { session, clock } = await openFixture()
    const { outcome, result } = await startWork(session, { deadlineMs: 100 })
    result.resolve('in time')
    expect(await outcome).toMatchObject({ type: 'completed' })
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('of any number of operations costs one timer', async () => {
    const { session, clock } = await openFixture()
    const tasks = await Promise.all([300, 100, 200].map((deadlineMs) => startWork(session, { deadlineMs })))
    expect(clock.pendingTimeouts).toBe(1)
    clock.advance(150)
    expect(await stateOf(tasks[1]?.outcome ?? Promise.reject())).toMatchObject({ type: 'failed' })
    expect(await stateOf(tasks[2]?.outcome ?? Promise.reject())).toBe('pending')
    clock.advance(150)
    await Promise.all(tasks.map(({ outcome }) => outcome))
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('of an operation that ends otherwise is forgotten', async () => {
    const { session, clock } = await openFixture()
    const { cancel } = await startWork(session, { deadlineMs: 100 })
    await cancel()
    expect(clock.pendingTimeouts).toBe(0)
  })
})

describe('waiting for all in a session', () => {
  it('gives outcomes in request order and acknowledges the obligation', async () => {
    const { session, operations } = await openFixture()
    const one = session.run(job, () => 'one')
    const two = session.run(job, () => 'two')
    const { outcomes, satisfied } = await session.waitAll(idOf(90), [two.id, one.id])
    expect(outcomes.map(({ outcome }) => outcome)).toMatchObject([
      { result: { content: 'two' } },
      { result: { content: 'one' } },
    ])
    expect(satisfied.turnId).toBe(idOf(90))
    expect(operations.outstandingObligations()).toEqual([])
  })

  it('is given up by its signal', async () => {
    const { session, operations } = await openFixture()
    const { id } = await startWork(session)
    const controller = new AbortController()
    const wait = session.waitAll(idOf(90), [id], { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(wait).rejects.toThrow('enough')
    expect(operations.diagnostics().pendingWait).toBeNull()
  })

  it('needs a turn id that is a UUID, and operations that exist', async () => {
    const { session } = await openFixture()
    expect(await refusal(session.waitAll('run', []))).toMatchObject({ code: 'invalid_input' })
    expect(await refusal(session.waitAll(idOf(90), [idOf(1)]))).toEqual({ code: 'not_found', id: idOf(1) })
  })

  it('does not mind operations that the registry was given directly', async () => {
    const { session, operations, complete } = await openFixture()
    await operations.registerOperation(specOf(1))
    const wait = session.waitAll(idOf(90), [idOf(1)])
    await operations.provisioningSucceeded(idOf(1))
    await complete(1)
    expect((await wait).outcomes).toHaveLength(1)
  })
})
