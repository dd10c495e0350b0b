import assert from 'node:assert/strict'
import type { ChangeCursor, ProcessListFilter, ProcessRecord, ProcessStore, WorkCursor } from '../../processes/index.js'
import { fold, initialState, noProjector, upTo } from '../../processes/index.js'
import {
  acquire,
  engine,
  external,
  idsOf,
  owner,
  plainType,
  refused,
  session,
  success,
  wakeType,
  type SuitePart,
} from './fixture.js'

const signalWait = (ordinal: number, sinceMs = 1) =>
  ({
    sinceMs,
    kind: { type: 'signal', name: 'go', eventType: 'signal.go', key: `process:p:signal.go:${ordinal}`, ordinal },
  }) as const

/** Tests of listing, following changes, pending work, and pruning. */
export const listsPart: SuitePart = (test) => {
  test('P-60: lists are ordered by the bytes of ids', async ({ store }) => {
    const ids = ['b', 'B', 'a-1', 'a1', 'a', '~', '0', 'A b', 'aa']
    for (const id of ids) await store.registerProcess(external(id))
    await store.completeProcess('aa', success(1))
    const live = ['0', 'A b', 'B', 'a', 'a-1', 'a1', 'b', '~']
    assert.deepEqual(idsOf(await store.listProcesses()), live)
    assert.deepEqual(idsOf(await store.listNonTerminal()), live)
    assert.deepEqual(idsOf(await store.listProcesses({ status: 'any' })), [...live.slice(0, 6), 'aa', 'b', '~'])
    assert.deepEqual(idsOf((await store.listWork(100)).records), live)
  })

  test('P-62: a filter asks for everything that it says', async ({ store, advance }) => {
    const at: number[] = []
    const occurrence = { type: 'trigger_occurrence', id: 'o1' } as const
    for (const [index, id] of ['a', 'b', 'c', 'd', 'e', 'f'].entries()) {
      const originator =
        index % 2 === 0 ? ({ type: 'host' } as const) : ({ type: 'session', scope: session('s', 'f') } as const)
      const identity = {
        kind: index < 3 ? 'one' : 'two',
        ...(index !== 1 && { label: `label ${index % 3}` }),
        ...(index > 1 && { definition: { version: index % 2, of: ['x'] } }),
      }
      const provenance = { originator, ...(index > 3 && { causedBy: occurrence }) }
      const record = await store.registerProcess(external(id, { identity, provenance }))
      at.push(record.createdAtMs)
      await advance(10)
    }
    await store.setWait('a', { sinceMs: 1, kind: { type: 'timer', untilMs: 2 } })
    await store.setWait('d', { sinceMs: 1, kind: { type: 'process', processId: 'a' } })
    await store.completeProcess('b', success(1))
    await store.completeProcess('e', { type: 'cancelled', message: 'no' })
    const all = await store.listProcesses({ status: 'any' })
    for (const filter of filtersOf(at)) {
      const expected = all.filter((record) => isAsked(filter, record)).map(({ id }) => id)
      assert.deepEqual(idsOf(await store.listProcesses(filter)), expected, JSON.stringify(filter))
    }
    assert.deepEqual(idsOf(await store.listProcesses({ status: 'any', identityKind: 'two', waiting: true })), ['d'])
    assert.deepEqual(idsOf(await store.listProcesses({ definition: { of: ['x'], version: 1 } })), ['d', 'f'])
    assert.deepEqual(idsOf(await store.listProcesses({ status: 'any', causedByOccurrenceId: 'o1' })), ['e', 'f'])
    assert.deepEqual(idsOf(await store.listProcesses({ originatorId: 'host' })), ['a', 'c'])
  })

  test('P-63: a scan for work comes by everything once, whatever happens meanwhile', async ({ store }) => {
    for (const id of ['b', 'd', 'f', 'h', 'j']) await store.registerProcess(engine(id))
    const first = await store.listWork(2)
    assert.deepEqual(idsOf(first.records), ['b', 'd'])
    // Behind the cursor, within the scan, and beyond it.
    for (const id of ['a', 'g', 'z']) await store.registerProcess(engine(id))
    await store.completeWithLease(await acquire(store, 'h', owner('o')), success(1))
    const { ids } = await scan(store, 2, first.next)
    assert.deepEqual(ids, ['f', 'g', 'j'])
    assert.deepEqual((await scan(store, 2)).ids, ['a', 'b', 'd', 'f', 'g', 'j', 'z'])
    // Excluded processes take no place on the page.
    assert.deepEqual(idsOf((await store.listWork(3, undefined, new Set(['a', 'd', 'x']))).records), ['b', 'f', 'g'])
    for (const cursor of ['x', 'embedded:', 'embedded:[1,2]', 'embedded:{}', 1, Object.create(null) as never]) {
      await refused(store.listWork(2, cursor as WorkCursor), 'process.cursor_invalid')
    }
  })

  test('P-64: what waits for a signal or time that is missing is no work', async ({ store, advance }) => {
    for (const id of ['p', 'q', 'r'])
      await store.registerProcess(engine(id, 'rerunnable', { eventTypes: [plainType('signal.go')] }))
    const work = async (): Promise<string[]> => idsOf((await store.listWork(10)).records)
    const now = (await store.getProcess('p'))?.createdAtMs ?? 0
    await store.setWait('p', signalWait(2))
    await store.setWait('q', { sinceMs: 1, kind: { type: 'timer', untilMs: now + 10_000 } })
    await store.setWait('r', { sinceMs: 1, kind: { type: 'process', processId: 'p' } })
    assert.deepEqual(await work(), ['r'])
    assert.equal(await store.nextWorkAtMs(), now + 10_000)
    await store.appendEvent('p', { eventType: 'signal.go', payload: 1 })
    assert.deepEqual(await work(), ['r'])
    await store.appendEvent('p', { eventType: 'signal.go', payload: 2 })
    assert.deepEqual(await work(), ['p', 'r'])
    await advance(10_000)
    assert.deepEqual(await work(), ['p', 'q', 'r'])
    assert.equal(await store.nextWorkAtMs(), undefined)
    await store.clearWait('q')
    await store.setWait('q', { sinceMs: 2, kind: { type: 'timer', untilMs: now + 100_000 } })
    assert.deepEqual(await work(), ['p', 'r'])
    await store.clearWait('q')
    assert.deepEqual(await work(), ['p', 'q', 'r'])
    // The signal had arrived before.
    await store.setWait('q', signalWait(1))
    assert.deepEqual(await work(), ['p', 'r'])
    await store.clearWait('p')
    await store.setWait('p', signalWait(1, 9))
    assert.deepEqual(await work(), ['p', 'r'])
    await store.completeProcess('q', success(1), { type: 'workflow_key', key: 'q' })
    assert.equal((await store.listNonTerminal()).length, 2)
  })

  test('P-26: folding the log over the registration gives the record, after every transition', async ({ store }) => {
    const eventTypes = [plainType('note'), plainType('signal.go')]
    await store.registerProcess(engine('p', 'rerunnable', { eventTypes }))
    let lease = await acquire(store, 'p', owner('o'))
    const steps: readonly (() => Promise<unknown>)[] = [
      () => store.recordFirstStarted('p', { owner: owner('o'), startedAtMs: 1 }, { lease }),
      () => store.appendEvent('p', { eventType: 'note', payload: 1, replay: { key: 'k' } }),
      () => store.appendEvent('p', { eventType: 'note', payload: 1, replay: { key: 'k' } }),
      () => refused(store.appendEvent('p', { eventType: 'other', payload: 1 }), 'process.event_undeclared'),
      () => store.setExternalRef('p', { backend: 'b', id: 'i' }),
      () => store.setWait('p', signalWait(1), { lease }),
      () => store.appendEvent('p', { eventType: 'signal.go', payload: 1 }),
      () => store.clearWait('p', { lease }),
      () => store.recordStep(lease, { name: 's', ordinal: 1, result: 1 }),
      () => store.requestAbandon('p', { requestedBy: 'me', requestedAtMs: 1 }),
      async () => {
        await store.completeLease(lease)
        lease = await acquire(store, 'p', owner('other'))
      },
      () => store.recordFirstStarted('p', { owner: owner('other'), startedAtMs: 2 }, { lease }),
      () => store.setWait('p', { sinceMs: 1, kind: { type: 'timer', untilMs: 1 } }, { lease }),
      () => store.completeWithLease(lease, success(1)),
      () => store.completeWithLease(lease, success(1)),
    ]
    for (const step of steps) {
      await step()
      await checkFold(store, 'p')
    }
    assert.equal((await store.getProcess('p'))?.lastSequence, 11)
  })

  test('P-66: the changes of a store are read behind a cursor, each process at its last', async ({ store }) => {
    const [none, start] = await store.processesChangedSince('', 10)
    assert.deepEqual(none, [])
    for (const id of ['c', 'a', 'b']) await store.registerProcess(external(id, { wakeTarget: session(id) }))
    const [page, next] = await store.processesChangedSince(start, 2)
    assert.deepEqual(page.map(idOfChange), ['c', 'a'])
    const [rest, end] = await store.processesChangedSince(next, 10)
    assert.deepEqual(rest.map(idOfChange), ['b'])
    assert.deepEqual(await store.processesChangedSince(end, 10), [[], end])
    await store.appendEvent('c', { eventType: 'note', payload: 1 })
    await store.grantHandle(session('s'), 'a', {})
    await acquire(store, 'a', owner('o'))
    await store.ackWake('a', 1)
    const [appended] = await store.processesChangedSince(end, 10)
    assert.deepEqual(appended.map(idOfChange), ['c'])
    await store.deleteSessionProcessState('b')
    assert.deepEqual((await store.processesChangedSince(start, 10))[0].map(idOfChange), ['a', 'c', 'b'])
    for (const cursor of ['x', 'embedded:', 'embedded:99999', 7, Object.create(null) as never]) {
      await refused(store.processesChangedSince(cursor as ChangeCursor, 10), 'process.cursor_invalid')
    }
  })

  test('P-66: whoever follows writers that race sees every end once, and moves on with every page', async ({
    store,
  }) => {
    const ids = Array.from({ length: 48 }, (_, index) => `p${index}`)
    let isDone = false
    const ended = new Map<string, number>()
    const follow = async (): Promise<void> => {
      let cursor: ChangeCursor = ''
      for (let wasDone = false; ; ) {
        const [changes, next]: Awaited<ReturnType<ProcessStore['processesChangedSince']>> =
          await store.processesChangedSince(cursor, 2)
        for (const change of changes) {
          if (change.type !== 'record' || change.record.status === 'running') continue
          ended.set(change.record.id, (ended.get(change.record.id) ?? 0) + 1)
        }
        if (changes.length > 0) assert.notEqual(next, cursor)
        else if (wasDone) return
        wasDone = isDone
        cursor = next
        // Lets the writers run.
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const write = async (id: string): Promise<void> => {
      await store.registerProcess(external(id))
      await store.appendEvent(id, { eventType: 'note', payload: 1 })
      await store.completeProcess(id, success(id))
    }
    const following = follow()
    await Promise.all(ids.map(write))
    isDone = true
    await following
    assert.deepEqual([...ended.keys()].toSorted(), ids.toSorted())
    assert.ok([...ended.values()].every((times) => times === 1))
  })

  test('P-55: pruning takes what ended before the cutoff, with all that belongs to it', async ({ store, advance }) => {
    for (const id of ['old', 'young', 'live']) {
      await store.registerProcess(external(id))
      await store.grantHandle(session('s'), id, {})
    }
    await store.appendEvent('old', { eventType: 'note', payload: 1, replay: { key: 'k' } })
    await store.completeProcess('old', success(1))
    await advance(10)
    const { record } = await store.completeProcess('young', success(1))
    const live = await store.getProcess('live')
    const options = { watermark: noProjector }
    // The cutoff is exclusive.
    const report = await store.pruneTerminal(record.updatedAtMs, options)
    assert.deepEqual(report, { prunedProcesses: 1, prunedEvents: 2 })
    assert.deepEqual(await store.pruneTerminal(record.updatedAtMs, options), { prunedProcesses: 0, prunedEvents: 0 })
    assert.deepEqual(await store.getProcess('young'), record)
    assert.deepEqual(await store.getProcess('live'), live)
    const entries = await store.listHandleGrants(session('s'))
    assert.deepEqual(
      entries.map(([{ processId }]) => processId),
      ['live', 'young'],
    )
    for (const cutoff of [Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER]) await store.pruneTerminal(cutoff, options)
    assert.deepEqual(idsOf(await store.listProcesses({ status: 'any' })), ['live'])
  })

  test('P-56: a pruned id is unknown, but for how it ended; it may be registered again', async ({ store }) => {
    await store.registerProcess(engine('p'))
    await store.grantHandle(session('s'), 'p', {})
    await acquire(store, 'p', owner('o'), 0)
    const lease = await acquire(store, 'p', owner('o'))
    assert.equal(lease.fencingToken, 2)
    await store.completeWithLease(lease, success(1))
    await store.pruneTerminal(Number.POSITIVE_INFINITY, { watermark: noProjector })
    assert.equal(await store.getProcess('p'), undefined)
    const terminal = await store.getTerminal('p')
    assert.equal(terminal.state, 'pruned')
    const { terminalLabel, prunedAtMs } = terminal
    assert.equal(terminalLabel, 'completed')
    const calls = [
      () => store.eventsAfter('p', 0),
      () => store.wakeEventsAfter('p', 0),
      () => store.handleGrantsForProcess('p'),
      () => store.appendEvent('p', { eventType: 'note', payload: 1 }),
      () => store.completeProcess('p', success(1)),
      () => store.claimLease('p', owner('o'), 1000),
    ]
    for (const call of calls) {
      const data = await refused(call(), 'process.unknown', 'unknown process `p`')
      assert.equal(data['prunedAtMs'], prunedAtMs)
    }
    assert.equal(await store.hasHandleGrant(session('s'), 'p'), false)
    assert.equal(await store.getLease('p'), undefined)
    assert.deepEqual(await store.listHandleGrants(session('s')), [])
    const record = await store.registerProcess(engine('p'))
    assert.equal(record.lastSequence, 0)
    assert.deepEqual(await store.getTerminal('p'), { state: 'running' })
    assert.equal((await acquire(store, 'p', owner('o'))).fencingToken, 1)
    assert.equal((await store.appendEvent('p', { eventType: 'note', payload: 1 })).event.sequence, 1)
    assert.deepEqual(await store.handleGrantsForProcess('p'), [])
  })

  test('P-57: nothing is pruned that is not asked for, not read yet, or still to wake somebody', async ({ store }) => {
    const eventTypes = [wakeType('done')]
    for (const id of ['a', 'b', 'waking']) {
      await store.registerProcess(external(id, { eventTypes, wakeTarget: session('s') }))
    }
    await store.appendEvent('waking', { eventType: 'done', payload: 1 })
    for (const id of ['a', 'b', 'waking']) await store.completeProcess(id, success(1))
    const prune = async (options: Parameters<ProcessStore['pruneTerminal']>[1]): Promise<number> =>
      (await store.pruneTerminal(Number.POSITIVE_INFINITY, options)).prunedProcesses
    assert.equal(await prune({ watermark: upTo('') }), 0)
    assert.equal(await prune({ watermark: noProjector, filter: { status: 'failed' } }), 0)
    const [, read] = await store.processesChangedSince('', 1)
    assert.equal(await prune({ watermark: upTo(read) }), 1)
    assert.deepEqual(idsOf(await store.listProcesses({ status: 'any' })), ['b', 'waking'])
    assert.equal(await prune({ watermark: noProjector }), 1)
    assert.deepEqual(idsOf(await store.listProcesses({ status: 'any' })), ['waking'])
    await store.ackWake('waking', 1)
    assert.equal(await prune({ watermark: noProjector }), 1)
    await store.registerProcess(external('waking', { eventTypes, wakeTarget: session('s') }))
    await store.appendEvent('waking', { eventType: 'done', payload: 1 })
    await store.completeProcess('waking', success(1))
    assert.equal(await prune({ watermark: noProjector }), 0)
    // Nothing is left that could be woken.
    await store.deleteSessionProcessState('s')
    assert.equal(await prune({ watermark: noProjector }), 1)
    await refused(store.pruneTerminal(1, { watermark: upTo('x') }), 'process.cursor_invalid')
  })

  test('P-295: what is named is pruned and forgotten alone', async ({ store }) => {
    for (const id of ['a', 'b', 'c', 'running']) await store.registerProcess(external(id))
    for (const id of ['a', 'b', 'c']) await store.completeProcess(id, success(1))
    const ids = ['a', 'c', 'running', 'nobody', 'a']
    const report = await store.pruneTerminal(Number.POSITIVE_INFINITY, { watermark: noProjector, ids })
    assert.equal(report.prunedProcesses, 2)
    assert.deepEqual(idsOf(await store.listProcesses({ status: 'any' })), ['b', 'running'])
    const forget = (some: readonly string[]): Promise<number> =>
      store.compactTombstones(Number.POSITIVE_INFINITY, { watermark: noProjector, ids: some })
    assert.equal(await forget(['c', 'b', 'nobody']), 1)
    assert.deepEqual(await store.getTerminal('c'), { state: 'unknown' })
    assert.equal((await store.getTerminal('a')).state, 'pruned')
    assert.equal(await forget([]), 0)
    assert.equal(
      (await store.pruneTerminal(Number.POSITIVE_INFINITY, { watermark: noProjector, ids: [] })).prunedProcesses,
      0,
    )
  })

  test('P-58: what is pruned is followed like any change; tombstones go when they were read', async ({
    store,
    advance,
  }) => {
    for (const id of ['c', 'a', 'b']) {
      await store.registerProcess(external(id))
      await store.completeProcess(id, success(1))
    }
    const [, before] = await store.processesChangedSince('', 10)
    await store.pruneTerminal(Number.POSITIVE_INFINITY, { watermark: noProjector })
    const [changes, after] = await store.processesChangedSince(before, 10)
    assert.deepEqual(changes.map(idOfChange), ['a', 'b', 'c'])
    const labels = changes.map((change) => change.type === 'pruned' && change.tombstone.terminalLabel)
    assert.deepEqual(labels, ['completed', 'completed', 'completed'])
    const [, first] = await store.processesChangedSince(before, 1)
    await advance(10)
    assert.equal(await store.compactTombstones(Number.POSITIVE_INFINITY, { watermark: upTo(first) }), 1)
    assert.deepEqual(await store.getTerminal('a'), { state: 'unknown' })
    assert.equal((await store.getTerminal('b')).state, 'pruned')
    assert.equal(await store.compactTombstones(0, { watermark: noProjector }), 0)
    assert.equal(await store.compactTombstones(Number.POSITIVE_INFINITY, { watermark: noProjector }), 2)
    // No number is used twice: an earlier cursor stays valid.
    await store.registerProcess(external('d'))
    const [later] = await store.processesChangedSince(after, 10)
    assert.deepEqual(later.map(idOfChange), ['d'])
  })

  test('P-70: what is durable is there after reopening, and replays as itself', async ({ store, reopen }) => {
    if (reopen === undefined) return
    const eventTypes = [wakeType('done'), plainType('signal.go')]
    await store.registerProcess(engine('p', 'rerunnable', { eventTypes, wakeTarget: session('s') }))
    await store.registerProcess(external('gone'))
    const lease = await acquire(store, 'p', owner('o'))
    await store.recordFirstStarted('p', { owner: owner('o'), startedAtMs: 1 }, { lease })
    const request = { eventType: 'done', payload: { a: 1 }, replay: { key: 'k' } }
    const first = await store.appendEvent('p', request)
    await store.appendEvent('p', { eventType: 'done', payload: 2 })
    await store.ackWake('p', first.event.sequence)
    await store.setExternalRef('p', { backend: 'b', id: 'i' })
    await store.grantHandle(session('s', 'f'), 'p', { label: 'x' })
    await store.setWait('p', signalWait(1))
    await store.completeProcess('gone', success(1))
    await store.pruneTerminal(Number.POSITIVE_INFINITY, { watermark: noProjector })
    const state = async (of: ProcessStore): Promise<unknown> => ({
      record: await of.getProcess('p'),
      events: await of.eventsAfter('p', 0),
      lease: await of.getLease('p'),
      grants: await of.listHandleGrants(session('s', 'f')),
      wakes: await of.pendingWakes(10),
      gone: await of.getTerminal('gone'),
      changes: await of.processesChangedSince('', 10),
      work: await of.listWork(10),
    })
    const before = await state(store)
    const reopened = await reopen()
    assert.deepEqual(await state(reopened), before)
    assert.deepEqual(await reopened.appendEvent('p', request), { ...first, replayed: true })
    await checkFold(reopened, 'p')
    assert.equal((await reopened.appendEvent('p', { eventType: 'signal.go', payload: 1 })).event.sequence, 6)
    assert.deepEqual(idsOf((await reopened.listWork(10)).records), ['p'])
  })
}

function idOfChange(change: Awaited<ReturnType<ProcessStore['processesChangedSince']>>[0][number]): string {
  return change.type === 'record' ? change.record.id : change.tombstone.processId
}

async function scan(
  store: ProcessStore,
  limit: number,
  from?: WorkCursor,
): Promise<{ readonly ids: string[]; readonly pages: number }> {
  const ids: string[] = []
  let cursor = from
  for (let pages = 1; ; pages++) {
    const { records, next } = await store.listWork(limit, cursor)
    ids.push(...idsOf(records))
    if (next === undefined) return { ids, pages }
    cursor = next
  }
}

async function checkFold(store: ProcessStore, processId: string): Promise<void> {
  const record = (await store.getProcess(processId)) ?? assert.fail('no record')
  const events = await store.eventsAfter(processId, 0)
  let state = initialState(record.createdAtMs)
  for (const { sequence, eventType, payload, semantics, occurredAt } of events) {
    state = fold(state, { sequence, eventType, payload, semantics, occurredAtMs: occurredAt })
  }
  for (const [field, value] of Object.entries(state)) {
    if (field !== 'signalCounts') assert.deepEqual(record[field as keyof ProcessRecord], value, field)
  }
  for (const field of ['outcome', 'externalRef', 'firstStarted', 'abandonRequest', 'wait'] as const) {
    assert.deepEqual(record[field], state[field], field)
  }
}

/** Filters with one condition, and with two. */
function filtersOf(at: readonly number[]): ProcessListFilter[] {
  const single: ProcessListFilter[] = [
    ...(['running', 'completed', 'failed', 'cancelled', 'abandoned', 'any'] as const).map((status) => ({ status })),
    { waiting: true },
    { waiting: false },
    { definition: { of: ['x'], version: 0 } },
    { originatorId: 'host' },
    { originatorId: 'session:s/frame:f' },
    { identityKind: 'one' },
    { identityLabel: 'label 0' },
    { causedByOccurrenceId: 'o1' },
    { createdAtStartMs: at[2] ?? 0 },
    { createdAtEndMs: at[2] ?? 0 },
  ]
  return single.flatMap((one) => single.map((other) => ({ status: 'any' as const, ...one, ...other })))
}

/** The meaning of a filter, written a second time. */
function isAsked(filter: ProcessListFilter, record: ProcessRecord): boolean {
  const { identity, provenance } = record
  const { originator, causedBy } = provenance
  const from = originator.type === 'host' ? 'host' : 'session:s/frame:f'
  const of = identity.definition as { readonly version: number } | undefined
  const tests: Record<keyof ProcessListFilter, boolean> = {
    status: filter.status === 'any' || record.status === (filter.status ?? 'running'),
    waiting: filter.waiting === 'wait' in record,
    definition: of?.version === (filter.definition as { version?: number } | undefined)?.version,
    originatorId: from === filter.originatorId,
    identityKind: identity.kind === filter.identityKind,
    identityLabel: identity.label === filter.identityLabel,
    causedByOccurrenceId: causedBy !== undefined,
    createdAtStartMs: record.createdAtMs >= (filter.createdAtStartMs ?? 0),
    createdAtEndMs: record.createdAtMs < (filter.createdAtEndMs ?? 0),
  }
  return (Object.keys(filter) as (keyof ProcessListFilter)[]).every((field) => tests[field])
}
