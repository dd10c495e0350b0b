import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { StatewardError } from '../../src/base/errors.js'
import { createRuntime, type Runtime } from '../../src/runtime.js'
import type { Session } from '../../src/operations/session.js'
import type { OperationAction, OperationId } from '../../machines/operation-vocabulary.js'
import { complete, freshId, run, settled, start } from './support/background.js'

let runtime: Runtime
let session: Session

beforeEach(async () => {
  runtime = await createRuntime()
  session = runtime.session('agent')
})
afterEach(() => runtime.close({ policy: 'terminate' }))

it('[O-73] diagnostics reflect cursors that were advanced on an empty feed', () => {
  const { operations } = session
  operations.advanceCompletionCursor('agent_applied', 7)
  operations.advanceCompletionCursor('runtime_observed', 11)
  operations.advanceCompletionCursor('runtime_injected', 13)
  expect(operations.diagnostics()).toMatchObject({
    cursors: { agent_applied: 7, runtime_observed: 11, runtime_injected: 13 },
    watermark: 0,
  })
})

it('[O-128] one owner has one registry, one epoch and one feed; another owner has others', async () => {
  const again = runtime.session('agent')
  const other = runtime.session('other agent')
  expect(again.operations).toBe(session.operations)
  expect(again.feed).toBe(session.feed)
  expect(other.epochId).not.toBe(session.epochId)
  await run(session)
  expect(again.feed.watermark()).toBe(1)
  expect(other.feed.watermark()).toBe(0)
})

describe('[O-25] a host that repeats itself', () => {
  /** Does something and takes a refusal for success where the classifier says so. */
  async function tolerant(id: OperationId, action: OperationAction, act: () => Promise<void>): Promise<string> {
    try {
      await act()
      return 'done'
    } catch (cause) {
      if (!StatewardError.is(cause, 'invalid_transition')) throw cause
      if (session.operations.classifyTransitionIdempotence(id, action) === 'not_idempotent') throw cause
      return 'done before'
    }
  }

  it('may provision a member twice', async () => {
    const id = await start(session, 'member', 'mob_member_child')
    expect(await tolerant(id, 'start', () => session.operations.provisioningSucceeded(id))).toBe('done before')
  })

  it('may ask a member to retire twice', async () => {
    const id = await start(session, 'member', 'mob_member_child')
    const retire = () => tolerant(id, 'retire_requested', () => session.operations.requestRetire(id))
    expect([await retire(), await retire()]).toEqual(['done', 'done before'])
    await session.operations.markRetired(id)
    expect(await retire()).toBe('done before')
  })

  it('learns that a member was never registered, and creates nothing by asking', async () => {
    const id = freshId()
    const retire = tolerant(id, 'retire_requested', () => session.operations.requestRetire(id))
    await expect(retire).rejects.toMatchObject({ code: 'not_found' })
    expect(session.operations.listOperations()).toEqual([])
  })

  it('may not complete twice', async () => {
    const id = await run(session)
    await expect(tolerant(id, 'complete', () => complete(session, id))).rejects.toMatchObject({
      code: 'invalid_transition',
    })
  })
})

describe('[O-42] a guard that takes a capacity slot', () => {
  /** Occupies one unit of capacity; the answer gives it back. */
  async function takeSlot(limit: number): Promise<() => Promise<void>> {
    const id = freshId()
    const { operations } = session
    await operations.registerOperationWithAdmissionLimit(
      {
        id,
        kind: 'background_tool_capacity_slot',
        ownerSessionId: session.id,
        displayName: 'slot',
        sourceLabel: 'shell_sync_slot',
        childSessionId: null,
        expectPeerChannel: false,
      },
      limit,
    )
    await operations.provisioningSucceeded(id)
    return () => operations.markRetired(id)
  }

  it('is refused at its limit, and leaves no snapshot and no feed row when it is released', async () => {
    const release = await takeSlot(1)
    await expect(takeSlot(1)).rejects.toMatchObject({
      code: 'max_concurrent_exceeded',
      data: { limit: 1, active: 1 },
    })
    await release()
    expect(session.operations.listOperations()).toEqual([])
    expect(session.feed.watermark()).toBe(0)
    await (await takeSlot(1))()
  })

  it('never holds more slots at once than its limit, however many want one', async () => {
    let held = 0
    let most = 0
    let refused = 0
    const want = async (): Promise<void> => {
      const release = await takeSlot(3).catch(() => undefined)
      if (release === undefined) {
        refused += 1
        await settled()
        return want()
      }
      held += 1
      most = Math.max(most, held)
      await settled()
      held -= 1
      await release()
    }
    await Promise.all(Array.from({ length: 30 }, want))
    expect(most).toBe(3)
    expect(refused).toBeGreaterThan(0)
    expect(session.operations.activeCount).toBe(0)
  })
})
