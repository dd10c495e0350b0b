import { beforeEach, describe, expect, it } from 'vitest'
import type { SessionId } from '../../machines/operation-vocabulary.js'
import {
  childSource,
  completed,
  fixtureOf,
  idOf,
  openFixture,
  openRuntime,
  refusal,
  specOf,
  start,
} from './support/registry.js'
import { busy, captured, recovered, type Snapshot } from './support/wire.js'

let snapshot: Snapshot
let epochId: string

beforeEach(async () => {
  const fixture = await busy()
  snapshot = captured(fixture)
  epochId = fixture.session.epochId
})

const record = (number: number) => snapshot.authority_state.operations[idOf(number)] as Record<string, unknown>
const spec = (number: number) => snapshot.operation_specs[idOf(number)] as Record<string, unknown>
const fact = (number: number) =>
  snapshot.authority_state.completion_feed_entries[idOf(number)] as Record<string, unknown>
const entry = (index: number) => snapshot.completion_entries[index] as Record<string, unknown>

describe('a captured registry', () => {
  it('[O-108] has the shape of the exchange format', () => {
    const outcome = {
      outcome_type: 'completed',
      content: 'done',
      is_error: false,
      duration_ms: 5,
      tokens_used: 7,
    }
    const source = { kind: 'session_child', session_id: 'child-1' }
    const common = { owner_session_id: 'owner', source_label: 'test' }
    expect(snapshot).toEqual({
      epoch_id: epochId,
      authority_state: {
        operations: {
          [idOf(1)]: {
            status: 'completed',
            kind: 'mob_member_child',
            operation_source: source,
            peer_ready: false,
            progress_count: 0,
            terminal_outcome: { ...outcome, id: idOf(1) },
            completion_sequence: 1,
            watcher_count: 0,
            terminal_buffered: true,
          },
          [idOf(2)]: {
            status: 'completed',
            kind: 'background_tool_op',
            operation_source: null,
            peer_ready: false,
            progress_count: 0,
            terminal_outcome: { ...outcome, id: idOf(2) },
            completion_sequence: 2,
            watcher_count: 0,
            terminal_buffered: true,
          },
          [idOf(3)]: {
            status: 'running',
            kind: 'background_tool_op',
            operation_source: null,
            peer_ready: false,
            progress_count: 0,
            terminal_outcome: null,
            watcher_count: 0,
            terminal_buffered: false,
          },
        },
        completion_feed_entries: {
          [idOf(1)]: { seq: 1, kind: 'mob_member_child', terminal_outcome: { ...outcome, id: idOf(1) } },
          [idOf(2)]: { seq: 2, kind: 'background_tool_op', terminal_outcome: { ...outcome, id: idOf(2) } },
        },
        next_completion_seq: 2,
        max_completed: 256,
        max_concurrent: null,
        completed_order: [idOf(1), idOf(2)],
        active_count: 1,
        wait_operation_ids: [],
        wait_request_id: null,
      },
      operation_specs: {
        [idOf(1)]: {
          ...common,
          id: idOf(1),
          kind: 'mob_member_child',
          display_name: 'operation 1',
          operation_source: source,
          child_session_id: 'child-1',
          expect_peer_channel: true,
        },
        [idOf(2)]: {
          ...common,
          id: idOf(2),
          kind: 'background_tool_op',
          display_name: 'operation 2',
          child_session_id: null,
          expect_peer_channel: false,
        },
        [idOf(3)]: {
          ...common,
          id: idOf(3),
          kind: 'background_tool_op',
          display_name: 'operation 3',
          child_session_id: null,
          expect_peer_channel: false,
        },
      },
      completion_entries: [1, 2].map((number) => ({
        seq: number,
        operation_id: idOf(number),
        kind: number === 1 ? 'mob_member_child' : 'background_tool_op',
        display_name: `operation ${number}`,
        terminal_outcome: { ...outcome, id: idOf(number) },
        completed_at_ms: start,
      })),
      cursors: { agent_applied_cursor: 0, runtime_observed_seq: 0, runtime_last_injected_seq: 0 },
      completion_feed_retention: { dropped_through: 0, dropped_count: 0 },
    })
  })

  it('[O-109] holds the cursors', async () => {
    const fixture = await openFixture()
    fixture.operations.advanceCompletionCursor('agent_applied', 5)
    fixture.operations.advanceCompletionCursor('runtime_observed', 3)
    fixture.operations.advanceCompletionCursor('runtime_injected', 2)
    expect(captured(fixture).cursors).toEqual({
      agent_applied_cursor: 5,
      runtime_observed_seq: 3,
      runtime_last_injected_seq: 2,
    })
  })

  it('[O-110] holds the source with the facts, and an explicit null where there is none', () => {
    expect(record(1)['operation_source']).toEqual({ kind: 'session_child', session_id: 'child-1' })
    expect(record(2)).toHaveProperty('operation_source', null)
  })

  it('[O-111] holds no capacity slot, live or ended', async () => {
    const fixture = await openFixture()
    const { operations } = fixture
    for (const number of [1, 2]) await operations.registerOperation(specOf(number, 'background_tool_capacity_slot'))
    await operations.abortProvisioning(idOf(1))
    expect(captured(fixture)).toMatchObject({
      authority_state: { operations: {}, completion_feed_entries: {} },
      operation_specs: {},
      completion_entries: [],
    })
  })

  it('[O-2] [O-4] spells every outcome in snake case', async () => {
    const fixture = await openFixture()
    const { operations, run } = fixture
    await run([1, 2, 3, 4])
    await operations.registerOperation(specOf(5))
    await operations.failOperation(idOf(1), 'broken')
    await operations.cancelOperation(idOf(2), 'stop')
    await operations.markRetired(idOf(3))
    await operations.abortProvisioning(idOf(5))
    await operations.terminateOwner('leaving')
    expect(captured(fixture).completion_entries.map(({ terminal_outcome: outcome }) => outcome)).toEqual([
      { outcome_type: 'failed', error: 'broken' },
      { outcome_type: 'cancelled', reason: 'stop' },
      { outcome_type: 'retired' },
      { outcome_type: 'aborted', reason: null },
      { outcome_type: 'terminated', reason: 'leaving' },
    ])
  })

  it('[O-90] shows the wait that began first, for readers of an export; recovery makes nothing of it', async () => {
    const { operations, run } = await openFixture()
    await run([1])
    using wait = operations.waitAll(idOf(90) as never, [idOf(1)])
    expect(operations.capturePersistenceSnapshot().authority_state).toMatchObject({
      wait_operation_ids: [idOf(1)],
      wait_request_id: wait.requestId,
    })
    wait[Symbol.dispose]()
    expect(operations.capturePersistenceSnapshot().authority_state).toMatchObject({
      wait_operation_ids: [],
      wait_request_id: null,
    })
  })
})

describe('a recovered registry', () => {
  it('[O-115] keeps what had ended and its feed, and drops what ran; collecting returns the former', async () => {
    const session = await recovered(snapshot)
    const { operations } = session
    expect(session.epochId).toBe(epochId)
    expect(operations.listOperations().map(({ id }) => id)).toEqual([idOf(1), idOf(2)])
    expect(session.feed.since(0).entries).toHaveLength(2)
    expect(session.lost.map(({ id, status }) => [id, status])).toEqual([[idOf(3), 'running']])
    expect(await operations.collectCompleted()).toEqual([
      { operationId: idOf(1), outcome: completed(1) },
      { operationId: idOf(2), outcome: completed(2) },
    ])
  })

  it('restores facts and forgets what belongs to a process', async () => {
    record(1)['peer_ready'] = true
    record(1)['progress_count'] = 3
    record(1)['watcher_count'] = 9
    const session = await recovered(snapshot)
    const restored = session.operations.snapshot(idOf(1))
    expect(restored).toMatchObject({
      status: 'completed',
      outcome: completed(1),
      peerReady: true,
      progressCount: 3,
      watcherCount: 0,
      operationSource: childSource,
      childSessionId: 'child-1',
    })
    for (const field of ['peerHandle', 'startedAtMs', 'completedAtMs', 'elapsedMs'])
      expect(restored).not.toHaveProperty(field)
  })

  it('[O-116] has the rows nobody has seen, and a watermark of at least the completions', async () => {
    const { feed } = await recovered(snapshot)
    expect(feed.since(0).entries.map(({ seq, displayName }) => [seq, displayName])).toEqual([
      [1, 'operation 1'],
      [2, 'operation 2'],
    ])
    expect(feed.watermark()).toBe(2)
    expect(feed.since(2).entries).toEqual([])
  })

  it('[O-117] accepts new work and goes on with the sequence', async () => {
    const { operations, feed } = await recovered(snapshot)
    await operations.registerOperation(specOf(4))
    await operations.abortProvisioning(idOf(4))
    expect(feed.since(2).entries.map(({ seq }) => seq)).toEqual([3])
    expect((await operations.waitAll(idOf(90) as never, [idOf(4)])).outcomes).toHaveLength(1)
    expect(operations.activeCount).toBe(0)
  })

  it('[O-117] never lowers the counter: sequences go on after the persisted one', async () => {
    snapshot.authority_state.next_completion_seq = 9
    const { operations, feed } = await recovered(snapshot)
    await operations.registerOperation(specOf(4))
    await operations.abortProvisioning(idOf(4))
    expect(feed.watermark()).toBe(10)
  })

  it('keeps cursors and limits', async () => {
    snapshot.cursors = { agent_applied_cursor: 5, runtime_observed_seq: 3, runtime_last_injected_seq: 2 }
    snapshot.authority_state.max_concurrent = 1
    snapshot.authority_state.max_completed = 2
    const { operations } = await recovered(snapshot)
    expect(operations.diagnostics().cursors).toEqual({ agent_applied: 5, runtime_observed: 3, runtime_injected: 2 })
    await operations.registerOperation(specOf(4))
    expect(await refusal(operations.registerOperation(specOf(5)))).toMatchObject({ limit: 1, active: 1 })
    await operations.abortProvisioning(idOf(4))
    expect(operations.listOperations().map(({ id }) => id)).toEqual([idOf(2), idOf(4)])
  })

  it('[O-110] takes the source from the facts when the spec has none', async () => {
    delete spec(1)['operation_source']
    expect((await recovered(snapshot)).operations.snapshot(idOf(1))?.operationSource).toEqual(childSource)
  })

  it('[O-110] has no source where the facts say null', async () => {
    expect((await recovered(snapshot)).operations.snapshot(idOf(2))).not.toHaveProperty('operationSource')
  })

  it('[O-45] corrects a child session that the spec gets wrong', async () => {
    spec(1)['child_session_id'] = 'tampered'
    spec(2)['child_session_id'] = 'tampered'
    const { operations } = await recovered(snapshot)
    expect(operations.snapshot(idOf(1))?.childSessionId).toBe('child-1')
    expect(operations.snapshot(idOf(2))?.childSessionId).toBeNull()
  })

  it('[O-118] orders by sequence, whatever order was persisted', async () => {
    snapshot.authority_state.completed_order.reverse()
    const { operations } = snapshot.authority_state
    snapshot.authority_state.operations = Object.fromEntries(Object.entries(operations).toReversed())
    snapshot.completion_entries.reverse()
    const session = await recovered(snapshot)
    expect(session.feed.since(0).entries.map(({ seq }) => seq)).toEqual([1, 2])
    const collected = await session.operations.collectCompleted()
    expect(collected.map(({ operationId }) => operationId)).toEqual([idOf(1), idOf(2)])
  })

  it('[O-2] ignores counts, waits and fields it does not know', async () => {
    Object.assign(snapshot.authority_state, {
      active_count: 77,
      completed_order: ['nonsense'],
      wait_operation_ids: ['nonsense'],
      wait_request_id: 'nonsense',
      added_later: true,
    })
    Object.assign(record(1), { terminal_buffered: false, added_later: 1 })
    Object.assign(spec(1), { added_later: 1 })
    const { operations } = await recovered(snapshot)
    expect(operations.diagnostics()).toMatchObject({ operationCount: 2, activeCount: 0, pendingWait: null })
  })

  it('drops a capacity slot whatever it carries, and an absent operation without a witness', async () => {
    const slot = { ...record(2), kind: 'background_tool_capacity_slot', completion_sequence: undefined }
    snapshot.authority_state.operations[idOf(7)] = slot as never
    snapshot.authority_state.operations[idOf(8)] = { ...record(3), status: 'absent' } as never
    const session = await recovered(snapshot)
    expect(session.operations.snapshot(idOf(7))).toBeUndefined()
    expect(session.lost.map(({ id }) => id)).toEqual([idOf(3)])
  })

  it('keeps the rows of evicted operations', async () => {
    delete (snapshot.authority_state.operations as Record<string, unknown>)[idOf(1)]
    delete (snapshot.operation_specs as Record<string, unknown>)[idOf(1)]
    const session = await recovered(snapshot)
    expect(session.feed.since(0).entries.map(({ displayName }) => displayName)).toEqual(['operation 1', 'operation 2'])
    expect(session.operations.snapshot(idOf(1))).toBeUndefined()
    expect(await refusal(session.operations.registerOperation(specOf(1, 'mob_member_child')))).toMatchObject({
      code: 'already_registered',
    })
  })

  it('gives a retained public record that lacks its feed fact one', async () => {
    delete (snapshot.authority_state.completion_feed_entries as Record<string, unknown>)[idOf(2)]
    snapshot.completion_entries.pop()
    const { feed } = await recovered(snapshot)
    expect(feed.since(1).entries).toEqual([
      expect.objectContaining({ seq: 2, displayName: 'operation 2', outcome: completed(2), completedAtMs: null }),
    ])
  })

  it('captures what it was recovered from', async () => {
    const session = await recovered(snapshot)
    const again = JSON.parse(JSON.stringify(session.operations.capturePersistenceSnapshot())) as Snapshot
    delete (snapshot.authority_state.operations as Record<string, unknown>)[idOf(3)]
    delete (snapshot.operation_specs as Record<string, unknown>)[idOf(3)]
    snapshot.authority_state.active_count = 0
    expect(again).toEqual(snapshot)
  })

  it('does not change what it was given, which may be frozen', async () => {
    const before = JSON.stringify(snapshot)
    const freeze = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return
      for (const part of Object.values(value)) freeze(part)
      Object.freeze(value)
    }
    freeze(snapshot)
    await recovered(snapshot)
    expect(JSON.stringify(snapshot)).toBe(before)
  })
})

describe('the retention of the feed', () => {
  it('[O-71] that is not carried invents no gap', async () => {
    delete (snapshot as Record<string, unknown>)['completion_feed_retention']
    entry(1)['seq'] = 2
    delete (snapshot.authority_state.operations as Record<string, unknown>)[idOf(1)]
    delete (snapshot.authority_state.completion_feed_entries as Record<string, unknown>)[idOf(1)]
    snapshot.completion_entries.shift()
    const { feed } = await recovered(snapshot)
    expect(feed.since(0)).toMatchObject({ droppedThrough: 0, watermark: 2 })
    expect(feed.gapAfter(0)).toBeUndefined()
  })

  it('[O-69] comes back with its gap', async () => {
    snapshot.completion_feed_retention = { dropped_through: 1, dropped_count: 1 }
    delete (snapshot.authority_state.operations as Record<string, unknown>)[idOf(1)]
    delete (snapshot.authority_state.completion_feed_entries as Record<string, unknown>)[idOf(1)]
    snapshot.completion_entries.shift()
    const { feed } = await recovered(snapshot)
    expect(feed.gapAfter(0)).toEqual({ requestedAfterSeq: 0, droppedThrough: 1, watermark: 2 })
    expect(feed.gapAfter(1)).toBeUndefined()
  })

  it('[O-71] is closed again where facts still know every dropped row', async () => {
    snapshot.completion_feed_retention = { dropped_through: 1, dropped_count: 1 }
    snapshot.completion_entries.shift()
    const { feed } = await recovered(snapshot)
    expect(feed.gapAfter(0)).toBeUndefined()
    expect(feed.since(0).entries.map(({ seq, completedAtMs }) => [seq, completedAtMs])).toEqual([
      [1, null],
      [2, start],
    ])
  })

  it('[O-71] stays as it was where some of the dropped rows are unknown', async () => {
    snapshot.authority_state.next_completion_seq = 3
    Object.assign(record(2), { completion_sequence: 3 })
    Object.assign(fact(2), { seq: 3 })
    Object.assign(entry(1), { seq: 3 })
    snapshot.completion_entries.shift()
    // Row 1 is known, row 2 is not.
    snapshot.completion_feed_retention = { dropped_through: 2, dropped_count: 2 }
    const { feed } = await recovered(snapshot)
    expect(feed.gapAfter(0)).toEqual({ requestedAfterSeq: 0, droppedThrough: 2, watermark: 3 })
    expect(feed.since(0).entries.map(({ seq }) => seq)).toEqual([3])
  })
})

describe('an imported session', () => {
  it('keeps its epoch and is the session of that name from then on', async () => {
    const runtime = await openRuntime()
    const session = await runtime.importSession('imported', snapshot)
    expect(runtime.session('imported')).toBe(session)
    expect(session.id).toBe('imported' as SessionId)
    expect(session.epochId).toBe(epochId)
  })

  it('is refused where a session of the name exists, or is being imported', async () => {
    const runtime = await openRuntime()
    runtime.session('taken')
    const exists = (id: string) => ({ code: 'session_exists', id })
    expect(await refusal(runtime.importSession('taken', snapshot))).toEqual(exists('taken'))
    const importing = runtime.importSession('imported', snapshot)
    expect(await refusal(runtime.importSession('imported', snapshot))).toEqual(exists('imported'))
    await importing
  })

  it('starts operations that ran in the exported registry anew under their ids', async () => {
    const { clock } = await openFixture()
    const runtime = await openRuntime({ clock })
    await runtime.importSession('owner', snapshot)
    const { session, run, complete } = fixtureOf(runtime, clock)
    expect(session.lost).toHaveLength(1)
    await run([3])
    expect(session.lost).toEqual([])
    await complete(3)
    expect(session.feed.since(0).entries.map(({ operationId }) => operationId)).toEqual([idOf(1), idOf(2), idOf(3)])
  })
})
