import { describe, expect, it } from 'vitest'
import {
  liveStatuses,
  terminalStatuses,
  type OperationId,
  type OperationOutcome,
  type OperationResult,
  type OperationStatus,
} from '../../machines/operation-vocabulary.js'
import {
  completed,
  idOf,
  openFixture,
  openRuntime,
  peerHandle,
  refusal,
  resultOf,
  specOf,
  start,
  type Fixture,
} from './support/registry.js'

describe('a member child', () => {
  it('[O-21] [O-6] [O-8] goes its whole way: registered, started, two reports, peer, completed', async () => {
    const { operations, clock } = await openFixture()
    await operations.registerOperation(specOf(1, 'mob_member_child'))
    expect(operations.snapshot(idOf(1))).toEqual({
      id: idOf(1),
      kind: 'mob_member_child',
      displayName: 'operation 1',
      ownerSessionId: 'owner',
      sourceLabel: 'test',
      expectPeerChannel: true,
      childSessionId: null,
      status: 'provisioning',
      terminal: false,
      publicResultClass: 'running',
      outcome: null,
      peerReady: false,
      progressCount: 0,
      watcherCount: 0,
      createdAtMs: start,
    })
    const watch = operations.registerWatcher(idOf(1))
    clock.advance(10)
    await operations.provisioningSucceeded(idOf(1))
    await operations.reportProgress(idOf(1), { message: 'one', fraction: 0.5 })
    await operations.reportProgress(idOf(1), { message: 'two' })
    await operations.peerReady(idOf(1), peerHandle)
    expect(operations.snapshot(idOf(1))).toMatchObject({
      status: 'running',
      progressCount: 2,
      peerReady: true,
      peerHandle,
      watcherCount: 1,
      startedAtMs: start + 10,
    })
    expect(operations.listOperations()).toHaveLength(1)
    clock.advance(5)
    await operations.completeOperation(idOf(1), resultOf(1))
    expect(await watch).toEqual(completed(1))
    expect(await operations.registerWatcher(idOf(1))).toEqual(completed(1))
    expect(operations.snapshot(idOf(1))).toMatchObject({
      status: 'completed',
      terminal: true,
      publicResultClass: 'completed',
      outcome: completed(1),
      watcherCount: 0,
      completedAtMs: start + 15,
      elapsedMs: 15,
    })
  })

  it('[O-7] has no peer handle before it is peer-ready and has one with its name afterwards', async () => {
    const { operations, run } = await openFixture()
    await run([1], 'mob_member_child')
    expect(operations.snapshot(idOf(1))).not.toHaveProperty('peerHandle')
    await operations.peerReady(idOf(1), peerHandle)
    expect(operations.snapshot(idOf(1))?.peerHandle?.peerName).toBe('worker')
  })

  it('is told twice that its peer is ready: the second time is refused, in every status', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1], 'mob_member_child')
    await operations.requestRetire(idOf(1))
    await operations.peerReady(idOf(1), peerHandle)
    const refused = { code: 'already_peer_ready', id: idOf(1) }
    expect(await refusal(operations.peerReady(idOf(1), peerHandle))).toEqual(refused)
    await complete(1)
    expect(await refusal(operations.peerReady(idOf(1), peerHandle))).toEqual(refused)
  })

  it.each([
    ['peerName', { peerName: ' ' }],
    ['trustedPeer.name', { trustedPeer: { ...peerHandle.trustedPeer, name: 'a\u0000b' } }],
    ['trustedPeer.pubkey', { trustedPeer: { ...peerHandle.trustedPeer, pubkey: new Uint8Array(31) } }],
  ])('takes no peer handle with a bad %s', async (field, part) => {
    const { operations, run } = await openFixture()
    await run([1], 'mob_member_child')
    const handle = { ...peerHandle, ...part }
    expect(await refusal(operations.peerReady(idOf(1), handle))).toMatchObject({ code: 'invalid_input', field })
    expect(operations.snapshot(idOf(1))?.peerReady).toBe(false)
  })
})

describe('reporting, retiring and cancelling', () => {
  it('[O-56] allocate nobody who waits', async () => {
    const { operations, session, run } = await openFixture()
    await run([1])
    await operations.reportProgress(idOf(1), { message: 'half' })
    await operations.requestRetire(idOf(1))
    expect(session.history.core.records.rows.get(idOf(1))?.watchers).toBeUndefined()
    await operations.cancelOperation(idOf(1))
    expect(operations.snapshot(idOf(1))?.watcherCount).toBe(0)
  })
})

describe('a refusal', () => {
  it('[O-23] peer-ready of a background operation is peer_not_expected, before it runs too: kind beats status', async () => {
    const { operations, run } = await openFixture()
    await run([1])
    await operations.registerOperation(specOf(2))
    for (const number of [1, 2]) {
      expect(await refusal(operations.peerReady(idOf(number), peerHandle))).toEqual({
        code: 'peer_not_expected',
        id: idOf(number),
      })
    }
  })

  it('[O-11] of completing a provisioning operation names the status and the label', async () => {
    const { operations } = await openFixture()
    await operations.registerOperation(specOf(1))
    const completion = operations.completeOperation(idOf(1), resultOf(1))
    await expect(completion).rejects.toThrow(
      `invalid lifecycle transition for ${idOf(1)}: Provisioning -> complete_operation`,
    )
    expect(await refusal(completion)).toEqual({
      code: 'invalid_transition',
      id: idOf(1),
      status: 'provisioning',
      action: 'complete_operation',
    })
    expect(operations.snapshot(idOf(1))?.status).toBe('provisioning')
  })

  it('of anything about an unknown id is not_found', async () => {
    const { operations } = await openFixture()
    const unknown = { code: 'not_found', id: idOf(9) }
    expect(await refusal(operations.provisioningSucceeded(idOf(9)))).toEqual(unknown)
    expect(await refusal(operations.reportProgress(idOf(9), { message: '' }))).toEqual(unknown)
    expect(await refusal(operations.peerReady(idOf(9), peerHandle))).toEqual(unknown)
    expect(await refusal(operations.requestRetire(idOf(9)))).toEqual(unknown)
    expect(await refusal(operations.completeOperation(idOf(9), resultOf(9)))).toEqual(unknown)
    expect(await refusal(operations.failOperation(idOf(9), ''))).toEqual(unknown)
    expect(await refusal(operations.provisioningFailed(idOf(9), ''))).toEqual(unknown)
    expect(await refusal(operations.abortProvisioning(idOf(9)))).toEqual(unknown)
    expect(await refusal(operations.cancelOperation(idOf(9)))).toEqual(unknown)
    expect(await refusal(operations.markRetired(idOf(9)))).toEqual(unknown)
  })

  it('[O-20] of the core itself: a completion with a retired payload; the same call with a completed one succeeds', async () => {
    const { session, operations, run } = await openFixture()
    await run([1])
    const { core } = session.history
    const event = { type: 'operation.complete', id: idOf(1), outcome: { type: 'retired' } } as const
    expect(() => core.stage(event)).toThrow('the outcome contradicts the action operation.complete')
    expect(operations.snapshot(idOf(1))?.status).toBe('running')
    const staged = core.stage({ ...event, outcome: completed(1) })
    core.unstage(staged)
    expect(operations.snapshot(idOf(1))?.status).toBe('running')
  })
})

/** Next status per status and action; absent means refused (O-18). */
const table: Record<'provisioning' | 'running' | 'retiring', Partial<Record<string, OperationStatus>>> = {
  provisioning: {
    start: 'running',
    fail: 'failed',
    abort: 'aborted',
    cancel: 'cancelled',
    terminate: 'terminated',
  },
  running: {
    progress: 'running',
    peer: 'running',
    complete: 'completed',
    fail: 'failed',
    cancel: 'cancelled',
    retire: 'retiring',
    retired: 'retired',
    terminate: 'terminated',
  },
  retiring: {
    progress: 'retiring',
    peer: 'retiring',
    complete: 'completed',
    fail: 'failed',
    cancel: 'cancelled',
    retired: 'retired',
    terminate: 'terminated',
  },
}

type Operations = Fixture['operations']

const actions: Record<string, (operations: Operations, id: OperationId) => Promise<unknown>> = {
  start: (operations, id) => operations.provisioningSucceeded(id),
  progress: (operations, id) => operations.reportProgress(id, { message: '' }),
  peer: (operations, id) => operations.peerReady(id, peerHandle),
  complete: (operations, id) => operations.completeOperation(id, { ...resultOf(1), id }),
  fail: (operations, id) => operations.failOperation(id, 'broken'),
  abort: (operations, id) => operations.abortProvisioning(id, 'unwanted'),
  cancel: (operations, id) => operations.cancelOperation(id, 'stop'),
  retire: (operations, id) => operations.requestRetire(id),
  retired: (operations, id) => operations.markRetired(id),
  terminate: (operations) => operations.terminateOwner('leaving'),
}

const waysTo: Record<string, readonly string[]> = {
  provisioning: [],
  running: ['start'],
  retiring: ['start', 'retire'],
  completed: ['start', 'complete'],
  failed: ['fail'],
  aborted: ['abort'],
  cancelled: ['cancel'],
  retired: ['start', 'retired'],
  terminated: ['terminate'],
}

describe('[O-18] the table of legality through the registry', () => {
  const pairs = [...liveStatuses, ...terminalStatuses].flatMap((status) =>
    Object.keys(actions).map((action) => [status, action] as const),
  )

  it.each(pairs)('%s: %s', async (status, action) => {
    const { operations } = await openFixture()
    await operations.registerOperation(specOf(1, 'mob_member_child'))
    for (const step of waysTo[status] ?? []) await actions[step]?.(operations, idOf(1))
    expect(operations.snapshot(idOf(1))?.status).toBe(status)
    const next = (table as Record<string, (typeof table)['running']>)[status]?.[action]
    const result = await refusal(actions[action]?.(operations, idOf(1)) ?? Promise.resolve())
    if (next !== undefined) expect(result).toBe('resolved')
    // Terminating an owner without live operations has nothing to refuse.
    else if (action !== 'terminate') expect(result).toMatchObject({ code: 'invalid_transition', status })
    expect(operations.snapshot(idOf(1))?.status).toBe(next ?? status)
  })
})

describe('an end', () => {
  const ends: [string, string, OperationOutcome, (operations: Operations) => Promise<void>][] = [
    ['failed', 'running', { type: 'failed', error: 'e' }, (operations) => operations.failOperation(idOf(1), 'e')],
    ['failed', 'none', { type: 'failed', error: 'e' }, (operations) => operations.provisioningFailed(idOf(1), 'e')],
    [
      'cancelled',
      'running',
      { type: 'cancelled', reason: 'r' },
      (operations) => operations.cancelOperation(idOf(1), 'r'),
    ],
    ['cancelled', 'none', { type: 'cancelled', reason: null }, (operations) => operations.cancelOperation(idOf(1))],
    ['retired', 'retiring', { type: 'retired' }, (operations) => operations.markRetired(idOf(1))],
    ['aborted', 'none', { type: 'aborted', reason: 'r' }, (operations) => operations.abortProvisioning(idOf(1), 'r')],
    ['aborted', 'none', { type: 'aborted', reason: null }, (operations) => operations.abortProvisioning(idOf(1))],
    ['terminated', 'running', { type: 'terminated', reason: 'r' }, (operations) => operations.terminateOwner('r')],
  ]

  it.each(ends)(
    '[O-4] [O-52] as %s from %s resolves the watch with its exact outcome',
    async (status, from, outcome, end) => {
      const { operations } = await openFixture()
      await operations.registerOperation(specOf(1))
      if (from !== 'none') await operations.provisioningSucceeded(idOf(1))
      if (from === 'retiring') {
        await operations.requestRetire(idOf(1))
        await operations.reportProgress(idOf(1), { message: 'winding down' })
      }
      const watch = operations.registerWatcher(idOf(1))
      await end(operations)
      expect(await watch).toEqual(outcome)
      expect(operations.snapshot(idOf(1))).toMatchObject({ status, outcome })
    },
  )

  it('[O-5] keeps a result that says it is an error as completed', async () => {
    const { operations, run } = await openFixture()
    await run([1])
    await operations.completeOperation(idOf(1), { ...resultOf(1), isError: true })
    expect(operations.snapshot(idOf(1))?.status).toBe('completed')
  })

  const wrong: [string, Partial<Record<keyof OperationResult, unknown>>][] = [
    ['result.id', { id: idOf(2) }],
    ['result.content', { content: undefined }],
    ['result.isError', { isError: 'no' }],
    ['result.durationMs', { durationMs: 1.5 }],
    ['result.durationMs', { durationMs: -1 }],
    ['result.tokensUsed', { tokensUsed: Number.NaN }],
    ['result.tokensUsed', { tokensUsed: 2 ** 53 }],
  ]

  it.each(wrong)('[O-50] [O-13] with a bad %s is refused before anything happens', async (field, part) => {
    const { operations, run } = await openFixture()
    await run([1])
    const result = { ...resultOf(1), ...part } as OperationResult
    expect(await refusal(operations.completeOperation(idOf(1), result))).toMatchObject({ code: 'invalid_input', field })
    expect(operations.snapshot(idOf(1))?.status).toBe('running')
  })

  it('with an error or reason that is no text is refused', async () => {
    const { operations, run } = await openFixture()
    await run([1])
    const text = new Error('not text') as unknown as string
    const at = (field: string) => ({ code: 'invalid_input', field })
    expect(await refusal(operations.failOperation(idOf(1), text))).toMatchObject(at('error'))
    expect(await refusal(operations.cancelOperation(idOf(1), text))).toMatchObject(at('reason'))
    expect(await refusal(operations.terminateOwner(text))).toMatchObject(at('reason'))
    expect(operations.snapshot(idOf(1))?.status).toBe('running')
  })

  it('belongs to the registry: neither the caller nor a watcher can change it afterwards', async () => {
    const { operations, run } = await openFixture()
    await run([1])
    const result = { ...resultOf(1) }
    await operations.completeOperation(idOf(1), result)
    result.content = 'changed'
    const outcome = (await operations.registerWatcher(idOf(1))) as { result: { content: string } }
    expect(outcome).toEqual(completed(1))
    expect(() => {
      outcome.result.content = 'changed'
    }).toThrow(TypeError)
  })
})

describe('times', () => {
  it('[O-9] are set by what happened: created at once, started after the start, completed and elapsed after the end', async () => {
    const { operations, clock } = await openFixture()
    await operations.registerOperation(specOf(1))
    expect(operations.snapshot(idOf(1))).not.toHaveProperty('startedAtMs')
    clock.advance(20)
    await operations.provisioningSucceeded(idOf(1))
    expect(operations.snapshot(idOf(1))).toMatchObject({ createdAtMs: start, startedAtMs: start + 20 })
    expect(operations.snapshot(idOf(1))).not.toHaveProperty('completedAtMs')
    expect(operations.snapshot(idOf(1))).not.toHaveProperty('elapsedMs')
    clock.advance(30)
    await operations.completeOperation(idOf(1), resultOf(1))
    expect(operations.snapshot(idOf(1))).toMatchObject({ completedAtMs: start + 50, elapsedMs: 50 })
  })

  it('[O-10] never run backwards when the wall clock is set back', async () => {
    const { operations, clock } = await openFixture()
    await operations.registerOperation(specOf(1))
    clock.setWall(1_000)
    clock.advance(7)
    await operations.provisioningSucceeded(idOf(1))
    await operations.completeOperation(idOf(1), resultOf(1))
    expect(operations.snapshot(idOf(1))).toMatchObject({ startedAtMs: start + 7, completedAtMs: start + 7 })
  })
})

describe('reading', () => {
  it('[O-16] sees only the operations of its own owner', async () => {
    const runtime = await openRuntime()
    const one = runtime.session('one')
    const other = runtime.session('other')
    await one.operations.registerOperation(specOf(1))
    expect(one).not.toBe(other)
    expect(other.operations.snapshot(idOf(1))).toBeUndefined()
    expect(other.operations.listOperations()).toEqual([])
    expect(one.operations.listOperations()).toHaveLength(1)
  })

  it('[O-14] lists by display name, ties in order of ids', async () => {
    const { operations } = await openFixture()
    const names = ['b', 'a', 'B', 'a'] as const
    for (const [index, displayName] of names.entries()) {
      await operations.registerOperation(specOf(9 - index, 'background_tool_op', { displayName }))
    }
    const listed = operations.listOperations().map(({ id, displayName }) => [displayName, id])
    expect(listed).toEqual([
      ['B', idOf(7)],
      ['a', idOf(6)],
      ['a', idOf(8)],
      ['b', idOf(9)],
    ])
  })

  it('[O-15] diagnostics count all and the live, and show the wait only while there is one', async () => {
    const { operations, run, finish } = await openFixture()
    await finish(1)
    await run([2, 3])
    await operations.reportProgress(idOf(2), { message: '' })
    expect(operations.diagnostics()).toMatchObject({
      operationCount: 3,
      activeCount: 2,
      pendingWait: null,
      watermark: 1,
    })
    const wait = operations.waitAll(idOf(50) as never, [idOf(2)])
    expect(operations.diagnostics().pendingWait).toEqual({
      requestId: wait.requestId,
      turnId: idOf(50),
      operationIds: [idOf(2)],
    })
    expect(operations.diagnostics().operations.map(({ progressCount }) => progressCount)).toEqual([0, 1, 0])
  })

  it('[O-73] diagnostics show cursors, which only move forwards and need no completions', async () => {
    const { operations } = await openFixture()
    expect(operations.advanceCompletionCursor('agent_applied', 7)).toBe(7)
    expect(operations.advanceCompletionCursor('runtime_observed', 11)).toBe(11)
    expect(operations.advanceCompletionCursor('runtime_injected', 13)).toBe(13)
    expect(operations.advanceCompletionCursor('runtime_injected', 12)).toBe(13)
    expect(operations.diagnostics().cursors).toEqual({
      agent_applied: 7,
      runtime_observed: 11,
      runtime_injected: 13,
    })
  })

  it.each([-1, 1.5, Number.NaN])('a cursor is never moved to %d', async (cursor) => {
    const { operations } = await openFixture()
    expect(() => operations.advanceCompletionCursor('agent_applied', cursor)).toThrow('not a sequence')
    expect(operations.completionCursor('agent_applied')).toBe(0)
  })
})
