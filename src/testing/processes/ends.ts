import assert from 'node:assert/strict'
import type { AwaitOutput, ProcessEventType, ProcessStore, RecoveryDisposition } from '../../processes/index.js'
import { statusOf } from '../../processes/index.js'
import {
  abandonedOnRequest,
  acquire,
  engine,
  everythingOf,
  external,
  owner,
  plainType,
  refused,
  session,
  success,
  type SuitePart,
} from './fixture.js'

const outputs: readonly AwaitOutput[] = [
  success({ answer: 42 }),
  {
    type: 'failure',
    class: 'timeout',
    code: 'too_late',
    message: 'It took too long',
    raw: { after: 3 },
    control: ['retry'],
  },
  { type: 'cancelled', message: 'as asked' },
  { type: 'abandoned', evidence: { writer: 'sweep', owner: owner('o'), epochMs: 7 } },
]

const statuses = ['completed', 'failed', 'cancelled', 'abandoned'] as const

/** Tests of how processes end, and that they end once. */
export const endsPart: SuitePart = (test) => {
  test('P-30: a completion is one event, the end, and what was waited for is over', async ({ store }) => {
    for (const [index, output] of outputs.entries()) {
      const id = `p${index}`
      await store.registerProcess(external(id))
      await store.setWait(id, { sinceMs: 1, kind: { type: 'timer', untilMs: 2 } })
      const { outcome, record } = await store.completeProcess(id, output)
      assert.equal(outcome, 'committed')
      assert.equal(record.status, statuses[index])
      assert.deepEqual(record.outcome, output)
      assert.equal(record.wait, undefined)
      assert.deepEqual(await store.getProcess(id), record)
      assert.deepEqual(await store.getTerminal(id), { state: 'ended', status: statuses[index], output })
      assert.deepEqual(statusOf(record), { state: statuses[index], awaitOutput: output })
      const event = (await store.recentEvents(id, 1))[0]
      assert.equal(event?.eventType, `process.${statuses[index]}`)
      assert.equal(event?.sequence, 2)
      assert.equal(event?.invocation.replay?.key, `process:${id}:terminal:process.${statuses[index]}`)
      assert.equal(event?.occurredAt, record.updatedAtMs)
      const payload = event?.payload as { readonly authority: unknown } | undefined
      assert.deepEqual(payload?.authority, { type: 'external_owner' })
    }
    assert.deepEqual(await store.listNonTerminal(), [])
  })

  test('P-32: the first end stays: an equal one was applied already, another is superseded', async ({ store }) => {
    const evidence = (epochMs: number): AwaitOutput => ({ type: 'abandoned', evidence: { writer: 'sweep', epochMs } })
    await store.registerProcess(external('p'))
    await store.completeProcess('p', evidence(7))
    const before = await everythingOf(store, 'p')
    const outcomes = [
      await store.completeProcess('p', evidence(7)),
      await store.completeProcess('p', evidence(8)),
      await store.completeProcess('p', success(1)),
    ]
    assert.deepEqual(
      outcomes.map(({ outcome }) => outcome),
      ['already_applied', 'superseded', 'superseded'],
    )
    for (const { record } of outcomes) assert.deepEqual(record.outcome, evidence(7))
    const replay = { key: 'late' }
    await refused(
      store.appendEvent('p', { eventType: 'process.completed', payload: { await_output: success(1) }, replay }),
      'process.already_terminal',
    )
    await refused(store.requestAbandon('p', { requestedBy: 'me', requestedAtMs: 1 }), 'process.abandon_refused', '`p`')
    assert.deepEqual(await everythingOf(store, 'p'), before)
    assert.deepEqual(
      (await store.listProcesses({ status: 'abandoned' })).map(({ id }) => id),
      ['p'],
    )
  })

  test('P-32: of completions that race one is committed', async ({ store }) => {
    await store.registerProcess(external('p'))
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, index) => store.completeProcess('p', success(index % 2))),
    )
    const counts = { committed: 0, already_applied: 0, superseded: 0 }
    for (const { outcome } of outcomes) counts[outcome] += 1
    assert.deepEqual(counts, { committed: 1, already_applied: 3, superseded: 4 })
    assert.equal((await store.eventsAfter('p', 0)).length, 1)
  })

  test('P-30: an end without a lease needs the authority that fits', async ({ store }) => {
    const external_owner = { type: 'external_owner' } as const
    const workflow_key = { type: 'workflow_key', key: 'w' } as const
    const reconciled_abandon = { type: 'reconciled_abandon' } as const
    const dispositions: readonly RecoveryDisposition[] = ['rerunnable', 'owner_bound', 'externally_owned']
    const allowed: string[] = []
    for (const disposition of dispositions) {
      for (const authority of [external_owner, workflow_key, reconciled_abandon]) {
        for (const output of [success(1), abandonedOnRequest]) {
          const id = `${disposition} ${authority.type} ${output.type}`
          const registration = disposition === 'externally_owned' ? external(id) : engine(id, disposition)
          await store.registerProcess(registration)
          const completion = store.completeProcess(id, output, authority)
          const [settled] = await Promise.allSettled([completion])
          if (settled?.status === 'fulfilled') allowed.push(id)
          else await refused(completion, 'process.completion_unauthorized')
        }
      }
    }
    assert.deepEqual(allowed, [
      'rerunnable workflow_key success',
      'rerunnable workflow_key abandoned',
      'owner_bound workflow_key success',
      'owner_bound workflow_key abandoned',
      'externally_owned external_owner success',
      'externally_owned external_owner abandoned',
      'externally_owned reconciled_abandon abandoned',
    ])
  })

  test('P-31: an end under the lease releases it in the same change', async ({ store }) => {
    await store.registerProcess(engine('p'))
    const lease = await acquire(store, 'p', owner('o'))
    const { outcome, record } = await store.completeWithLease(lease, success(1))
    assert.equal(outcome, 'committed')
    assert.equal(record.status, 'completed')
    assert.equal(await store.getLease('p'), undefined)
    const before = await everythingOf(store, 'p')
    assert.equal((await store.completeWithLease(lease, success(1))).outcome, 'already_applied')
    assert.equal((await store.completeWithLease(lease, success(2))).outcome, 'superseded')
    assert.deepEqual(await everythingOf(store, 'p'), before)
    assert.equal((await store.eventsAfter('p', 0)).length, 1)
    const [event] = await store.eventsAfter('p', 0)
    const payload = event?.payload as { readonly authority: unknown } | undefined
    assert.deepEqual(payload?.authority, { type: 'lease', fencing_token: 1 })
    // The fencing token continues to increase.
    assert.equal((await acquire(store, 'p', owner('other'))).fencingToken, 2)
  })

  test('P-31: a lease that was lost or has expired ends nothing and frees nobody', async ({ store, advance }) => {
    await store.registerProcess(engine('p'))
    const lost = await acquire(store, 'p', owner('o'), 100)
    await advance(101)
    await refused(store.completeWithLease(lost, success(1)), 'process.lease_superseded')
    const successor = await acquire(store, 'p', owner('other'))
    await refused(store.completeWithLease(lost, success(1)), 'process.lease_superseded', 'missing or expired')
    assert.deepEqual(await store.eventsAfter('p', 0), [])
    assert.deepEqual(await store.getLease('p'), successor)
    await store.completeWithLease(successor, success(2))
    assert.equal((await store.completeWithLease(lost, success(1))).outcome, 'superseded')
  })

  test('P-31: what is owned outside is only ever abandoned under a lease', async ({ store }) => {
    await store.registerProcess(external('p'))
    const lease = await acquire(store, 'p', owner('o'))
    await refused(store.completeWithLease(lease, success(1)), 'process.completion_unauthorized')
    assert.equal((await store.completeWithLease(lease, abandonedOnRequest)).outcome, 'committed')
  })

  test("P-19: a producer's own type ends its process, with what it selects or what that is wrapped in", async ({
    store,
  }) => {
    const ends = (
      name: string,
      terminal: NonNullable<ProcessEventType['semantics']['terminal']>,
    ): ProcessEventType => ({
      name,
      payloadSchema: {},
      semantics: { terminal },
    })
    const pointer = { type: 'pointer', pointer: '/out' } as const
    const eventTypes = [
      ends('won', { state: 'completed' }),
      ends('lost', { state: 'failed', awaitOutput: pointer }),
      ends('left', { state: 'cancelled', awaitOutput: pointer }),
      ends('gone', { state: 'abandoned', awaitOutput: pointer }),
    ]
    const failure = { type: 'failure', class: 'external', code: 'c', message: 'm' }
    const cases: readonly (readonly [string, unknown, AwaitOutput])[] = [
      ['won', { any: 1 }, { type: 'success', value: { any: 1 } }],
      ['won', success(1), { type: 'success', value: success(1) }],
      ['lost', { out: failure }, failure as AwaitOutput],
      [
        'lost',
        { out: 'why' },
        { type: 'failure', class: 'execution', code: 'process_failed', message: 'the process failed', raw: 'why' },
      ],
      ['left', { out: 1 }, { type: 'cancelled', message: 'the process was cancelled', raw: 1 }],
      ['gone', { out: 1 }, { type: 'abandoned', evidence: { writer: 'owner_drain', epochMs: 0 } }],
      [
        'gone',
        {
          out: {
            type: 'abandoned',
            evidence: { writer: 'sweep', owner: { owner_id: 'o', incarnation_id: '1' }, epoch_ms: 7 },
          },
        },
        { type: 'abandoned', evidence: { writer: 'sweep', owner: owner('o'), epochMs: 7 } },
      ],
    ]
    for (const [index, [eventType, payload, output]] of cases.entries()) {
      const id = `p${index}`
      await store.registerProcess(external(id, { eventTypes }))
      const request = { eventType, payload, replay: { key: 'end' } } as Parameters<ProcessStore['appendEvent']>[1]
      const { event } = await store.appendEvent(id, request)
      const record = await store.getProcess(id)
      assert.deepEqual(record?.outcome, output)
      assert.deepEqual(event.semantics.terminal?.awaitOutput, output)
      assert.equal((await store.completeProcess(id, output)).outcome, 'already_applied')
      assert.equal((await store.completeProcess(id, success('other'))).outcome, 'superseded')
      assert.equal((await store.appendEvent(id, request)).replayed, true)
    }
    await store.registerProcess(external('q', { eventTypes }))
    const contradiction = { eventType: 'lost', payload: { out: success(1) }, replay: { key: 'end' } }
    await refused(store.appendEvent('q', contradiction), 'process.event_payload_invalid')
    await refused(store.appendEvent('q', { eventType: 'won', payload: 1 }), 'process.event_key_required')
    assert.equal((await store.getProcess('q'))?.status, 'running')
  })

  test('P-25: a replayed end mends a process that was left behind by it', async ({ store, leaveBehind }) => {
    if (leaveBehind === undefined) return
    await store.registerProcess(external('p'))
    const request = { eventType: 'process.completed', payload: { await_output: success(1) }, replay: { key: 'end' } }
    const { event } = await store.appendEvent('p', request)
    const record = await store.getProcess('p')
    await leaveBehind('p')
    assert.equal((await store.getProcess('p'))?.status, 'running')
    const again = await store.appendEvent('p', request)
    assert.deepEqual(again, { event, replayed: true })
    assert.deepEqual(await store.getProcess('p'), record)
    assert.equal((await store.eventsAfter('p', 0)).length, 1)
  })

  test('P-33: the reference to something outside is written once', async ({ store, advance }) => {
    const ref = { backend: 'restate', id: 'x/1', metadata: { invocation_id: 'i' } }
    await store.registerProcess(external('p'))
    const set = await store.setExternalRef('p', ref)
    assert.deepEqual(set.externalRef, ref)
    assert.equal(set.lastSequence, 1)
    await advance(5)
    assert.deepEqual(await store.setExternalRef('p', ref), set)
    for (const other of [
      { ...ref, id: 'x/2' },
      { ...ref, metadata: { invocation_id: 'j' } },
      { backend: ref.backend, id: ref.id },
    ]) {
      const data = await refused(store.setExternalRef('p', other), 'process.external_ref_conflict', 'restate')
      assert.deepEqual(data['stored'], ref)
    }
    assert.deepEqual(await store.getProcess('p'), set)
    const [event] = await store.eventsAfter('p', 0)
    assert.equal(event?.eventType, 'process.external_ref_set')
    assert.deepEqual(event?.payload, { external_ref: ref })
  })

  test('P-34: what is bound to its owner is started once', async ({ store }) => {
    await store.registerProcess(engine('p', 'owner_bound'))
    const started = { owner: owner('o'), startedAtMs: 5 }
    await refused(store.recordFirstStarted('p', started), 'process.lease_superseded')
    const lease = await acquire(store, 'p', owner('o'))
    const record = await store.recordFirstStarted('p', started, { lease })
    assert.deepEqual(record.firstStarted, { ...started, fencingToken: 1, attempt: 1 })
    assert.deepEqual(await store.recordFirstStarted('p', { ...started, startedAtMs: 9 }, { lease }), record)
    await store.completeLease(lease)
    const next = await acquire(store, 'p', owner('other'))
    const again = { owner: owner('other'), startedAtMs: 6 }
    const data = await refused(store.recordFirstStarted('p', again, { lease: next }), 'process.already_started', 'o')
    assert.equal(data['owner'], 'o')
    assert.deepEqual((await store.getProcess('p'))?.firstStarted, record.firstStarted)
  })

  test('P-34: of what is executed outside the first start stays', async ({ store }) => {
    await store.registerProcess(external('p'))
    const record = await store.recordFirstStarted('p', { owner: owner('a'), startedAtMs: 5 })
    assert.deepEqual(record.firstStarted, { owner: owner('a'), startedAtMs: 5, fencingToken: 0, attempt: 1 })
    assert.deepEqual(await store.recordFirstStarted('p', { owner: owner('b'), startedAtMs: 6 }), record)
  })

  test('P-34: what may run again counts its attempts, and is given up when they are used up', async ({ store }) => {
    await store.registerProcess(engine('p', 'rerunnable', { maxAttempts: 2 }))
    for (const attempt of [1, 2]) {
      const lease = await acquire(store, 'p', owner(`o${attempt}`))
      const started = { owner: owner(`o${attempt}`), startedAtMs: attempt }
      const record = await store.recordFirstStarted('p', started, { lease })
      assert.deepEqual(record.firstStarted, { ...started, fencingToken: attempt, attempt })
      assert.deepEqual(await store.recordFirstStarted('p', started, { lease }), record)
      await store.completeLease(lease)
    }
    const lease = await acquire(store, 'p', owner('o3'))
    const third = { owner: owner('o3'), startedAtMs: 3 }
    const data = await refused(store.recordFirstStarted('p', third, { lease }), 'process.attempts_exhausted')
    assert.equal(data['maxAttempts'], 2)
    const record = await store.getProcess('p')
    assert.equal(record?.status, 'abandoned')
    assert.equal(record.outcome?.type, 'abandoned')
    const { evidence } = record.outcome
    assert.equal(evidence.writer, 'engine_gave_up')
    assert.deepEqual(evidence.owner, owner('o2'))
    assert.equal(record.firstStarted?.attempt, 2)
    assert.equal(await store.getLease('p'), undefined)
    const types = (await store.eventsAfter('p', 0)).map(({ eventType }) => eventType)
    assert.deepEqual(types, ['process.first_started', 'process.first_started', 'process.abandoned'])
  })

  test('P-35: the first request to abandon stays, and ends nothing', async ({ store }) => {
    await store.registerProcess(engine('p', 'owner_bound'))
    const lease = await acquire(store, 'p', owner('o'))
    const request = { requestedBy: 'me', requestedAtMs: 5, reason: 'stuck' }
    const record = await store.requestAbandon('p', request)
    assert.equal(record.status, 'running')
    assert.deepEqual(record.abandonRequest, request)
    assert.deepEqual(await store.requestAbandon('p', request), record)
    assert.deepEqual(await store.requestAbandon('p', { ...request, requestedBy: 'you' }), record)
    assert.deepEqual(await store.getLease('p'), lease)
    assert.equal((await store.eventsAfter('p', 0)).length, 1)
  })

  test('P-36: the first result of a step stays; steps are for what may run again', async ({ store }) => {
    await store.registerProcess(engine('p'))
    const lease = await acquire(store, 'p', owner('o'))
    const step = { name: 'draft', ordinal: 1, result: { text: 'a' } }
    const failed = { name: 'draft', ordinal: 2, error: { message: 'no' } }
    assert.deepEqual(await store.recordStep(lease, step), step)
    assert.deepEqual(await store.recordStep(lease, failed), failed)
    assert.deepEqual(await store.recordStep(lease, { ...step, result: 'other' }), step)
    assert.deepEqual(await store.recordedSteps('p'), [step, failed])
    assert.equal((await store.getProcess('p'))?.lastSequence, 2)
    await store.registerProcess(engine('q', 'owner_bound'))
    const bound = await acquire(store, 'q', owner('o'))
    await refused(store.recordStep(bound, step), 'process.disposition_unfit')
    await store.completeWithLease(lease, success(1))
    await refused(store.recordStep(lease, { ...step, ordinal: 3 }), 'process.lease_superseded')
  })

  test('P-37: what is bound to its owner may be adopted under a later lease', async ({ store }) => {
    await store.registerProcess(engine('p', 'owner_bound'))
    const lease = await acquire(store, 'p', owner('o'))
    const record = await store.recordAdoption(lease, 4711)
    assert.deepEqual(await store.recordAdoption(lease, 4711), record)
    const [event] = await store.eventsAfter('p', 0)
    assert.equal(event?.eventType, 'process.adopted')
    assert.deepEqual(event?.payload, { fence: 1, pid: 4711 })
    await store.registerProcess(engine('q'))
    await refused(store.recordAdoption(await acquire(store, 'q', owner('o')), 1), 'process.disposition_unfit')
  })

  test('P-38: a wait is a facet of what runs, told by two events', async ({ store }) => {
    const wait = {
      sinceMs: 5,
      kind: { type: 'signal', name: 'go', eventType: 'signal.go', key: 'process:p:signal.go:1', ordinal: 1 },
    } as const
    await store.registerProcess(external('p', { eventTypes: [plainType('signal.go')] }))
    const waiting = await store.setWait('p', wait)
    assert.equal(waiting.status, 'running')
    assert.deepEqual(waiting.wait, wait)
    assert.deepEqual(await store.setWait('p', wait), waiting)
    assert.deepEqual(
      (await store.listProcesses({ waiting: true })).map(({ id }) => id),
      ['p'],
    )
    assert.deepEqual(await store.listProcesses({ waiting: false }), [])
    const timer = { sinceMs: 6, kind: { type: 'timer', untilMs: 9 } } as const
    assert.deepEqual((await store.setWait('p', timer)).wait, timer)
    const cleared = await store.clearWait('p')
    assert.equal(cleared.wait, undefined)
    assert.deepEqual(await store.clearWait('p'), cleared)
    // An execution that starts again passes a wait that is over.
    assert.equal((await store.setWait('p', wait)).wait, undefined)
    const events = await store.eventsAfter('p', 0)
    assert.deepEqual(
      events.map(({ eventType }) => eventType),
      ['process.waiting', 'process.waiting', 'process.resumed'],
    )
    await store.setWait('p', { ...timer, sinceMs: 7 })
    assert.equal((await store.completeProcess('p', success(1))).record.wait, undefined)
    await refused(store.setWait('p', { ...timer, sinceMs: 8 }), 'process.wait_refused', '`p`')
    assert.equal((await store.clearWait('p')).lastSequence, 5)
  })

  test('P-41: every write of a run that has lost its lease is refused, and changes nothing', async ({ store }) => {
    await store.registerProcess(engine('p', 'rerunnable', { wakeTarget: session('s') }))
    const lost = await acquire(store, 'p', owner('o'), 0)
    const lease = await acquire(store, 'p', owner('other'))
    const before = await everythingOf(store, 'p')
    const options = { lease: lost }
    const calls = [
      () => store.appendEvent('p', { eventType: 'note', payload: 1 }, options),
      () => store.setWait('p', { sinceMs: 1, kind: { type: 'timer', untilMs: 2 } }, options),
      () => store.clearWait('p', options),
      () => store.recordFirstStarted('p', { owner: owner('o'), startedAtMs: 1 }, options),
      () => store.setExternalRef('p', { backend: 'b', id: 'i' }, options),
      () => store.recordStep(lost, { name: 's', ordinal: 1, result: 1 }),
      () => store.completeWithLease(lost, success(1)),
      () => store.renewLease(lost, 1000),
    ]
    for (const call of calls) await refused(call(), 'process.lease_superseded', 'missing or expired')
    assert.deepEqual(await everythingOf(store, 'p'), before)
    // Each field of a lease catches a case that the others miss.
    const forged = [
      { ...lease, leaseToken: 'x' },
      { ...lease, owner: owner('other', '2') },
      { ...lease, owner: owner('o') },
      { ...lease, fencingToken: 1 },
    ]
    for (const one of forged) {
      await refused(
        store.appendEvent('p', { eventType: 'note', payload: 1 }, { lease: one }),
        'process.lease_superseded',
      )
    }
    await store.registerProcess(engine('q'))
    await refused(store.appendEvent('q', { eventType: 'note', payload: 1 }, { lease }), 'process.lease_superseded')
    assert.equal((await store.appendEvent('p', { eventType: 'note', payload: 1 }, { lease })).event.sequence, 1)
  })
}
