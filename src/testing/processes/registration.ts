import assert from 'node:assert/strict'
import { storeMethods } from '../../processes/index.js'
import { engine, external, idsOf, plainType, refused, session, success, type SuitePart } from './fixture.js'

/** Tests of registering, reading and listing. */
export const registrationPart: SuitePart = (test) => {
  test('says what it is, and how durable', async ({ store }) => {
    const missing = storeMethods.filter((name) => typeof store[name] !== 'function')
    assert.deepEqual(missing, [], 'methods of the port that the store does not have')
    const tiers: readonly unknown[] = ['inline', 'durable']
    assert.ok(tiers.includes(store.durabilityTier()), `durabilityTier() is none of ${tiers.join(', ')}`)
    const writers: readonly unknown[] = ['this_hub', 'many']
    assert.ok(writers.includes(store.writers), `writers is none of ${writers.join(', ')}`)
    const hasHub = store.hub !== undefined
    assert.equal(hasHub, store.writers === 'this_hub', 'there is a hub exactly when this object alone writes')
    assert.equal(typeof store.name, 'string', 'name is no text')
  })

  test('P-2: registering the same again finds the process, another registration is refused with both hashes', async ({
    store,
  }) => {
    const registration = external('p', { eventTypes: [plainType('a'), plainType('b')] })
    const first = await store.registerProcess(registration)
    assert.equal(first.status, 'running')
    assert.deepEqual(await store.registerProcess(registration), first)
    const more = { ...registration, eventTypes: [...registration.eventTypes, plainType('c')] }
    const { stored, provided } = await refused(store.registerProcess(more), 'process.registration_conflict')
    assert.equal(stored, first.registrationHash)
    assert.notEqual(provided, stored)
    assert.deepEqual(idsOf(await store.listProcesses({ status: 'any' })), ['p'])
    assert.deepEqual(await store.eventsAfter('p', 0), [])
  })

  test('P-5: the order of keys and types and a built-in type declared as it is make no other registration', async ({
    store,
  }) => {
    const [a, b] = [plainType('a'), plainType('b')]
    const metadata = { name: 'x', deep: { one: 1, two: -0 } }
    const first = await store.registerProcess(
      external('p', { eventTypes: [a, b], input: { type: 'external', metadata } }),
    )
    const again = external('p', {
      eventTypes: [b, { semantics: {}, payloadSchema: {}, name: 'a' }, plainType('process.cancel_requested')],
      input: { metadata: { deep: { two: 0, one: 1 }, name: 'x' }, type: 'external' },
    })
    assert.deepEqual(await store.registerProcess(again), first)
    const other = external('q', { eventTypes: [a, b], input: { type: 'external', metadata } })
    assert.equal((await store.registerProcess(other)).registrationHash, first.registrationHash)
    const retargeted = { ...again, wakeTarget: session('s') }
    await refused(store.registerProcess(retargeted), 'process.registration_conflict')
  })

  test('P-3: registrations that race come to one process', async ({ store }) => {
    const records = await Promise.all(Array.from({ length: 8 }, () => store.registerProcess(external('p'))))
    assert.equal(new Set(records.map((record) => JSON.stringify(record))).size, 1)
    assert.equal((await store.listProcesses()).length, 1)
  })

  test('P-4: a malformed registration names its field, and nothing is written', async ({ store }) => {
    const wrong: readonly (readonly [unknown, string])[] = [
      [{ ...external('p'), id: '  ' }, 'id'],
      [{ ...external('p'), id: 'ü' }, 'id'],
      [{ ...external('p'), id: 'x'.repeat(257) }, 'id'],
      [{ ...external('p'), disposition: undefined }, 'disposition'],
      [{ ...external('p'), disposition: 'other' }, 'disposition'],
      [{ ...external('p'), unknown: 1 }, 'unknown'],
      [{ ...external('p'), eventTypes: [plainType(' ')] }, 'eventTypes.0.name'],
      [{ ...external('p'), eventTypes: [plainType('a'), plainType('a')] }, 'eventTypes.1.name'],
      [{ ...external('p'), eventTypes: [plainType('process.step')] }, 'eventTypes.0.name'],
      [
        { ...external('p'), eventTypes: [{ ...plainType('a'), semantics: { terminal: { state: 'failed' } } }] },
        'eventTypes.0.semantics.terminal.awaitOutput',
      ],
      [{ ...external('p'), eventTypes: [plainType('process.completed')] }, 'eventTypes.0.semantics.terminal.state'],
      [
        { ...external('p'), eventTypes: [{ ...plainType('a'), payloadSchema: { pattern: 'x' } }] },
        'eventTypes.0.payloadSchema.pattern',
      ],
      [
        {
          ...external('p'),
          eventTypes: [{ ...plainType('a'), semantics: { wake: { input: { type: 'pointer', pointer: 'no slash' } } } }],
        },
        'eventTypes.0.semantics.wake.input.pointer',
      ],
      [{ ...external('p'), envRef: `process-env:sha256:${'0'.repeat(64)}` }, 'envRef'],
      [{ ...engine('p'), envRef: undefined }, 'envRef'],
      [{ ...engine('p'), envRef: 'process-env:sha256:x' }, 'envRef'],
      [{ ...engine('p', 'owner_bound'), maxAttempts: 3 }, 'maxAttempts'],
      [{ ...engine('p'), maxAttempts: 0 }, 'maxAttempts'],
      [{ ...external('p'), input: { type: 'external', metadata: Number.NaN } }, 'input.metadata'],
      [{ ...external('p'), input: { type: 'external', metadata: 'x'.repeat(2 ** 20) } }, 'input'],
      [{ ...external('p'), input: { type: 'other' } }, 'input.type'],
      [{ ...external('p'), provenance: {} }, 'provenance.originator'],
      [{ ...external('p'), wakeTarget: { sessionId: '' } }, 'wakeTarget.sessionId'],
      [undefined, '$'],
    ]
    for (const [registration, field] of wrong) {
      const data = await refused(store.registerProcess(registration as never), 'process.registration_invalid')
      assert.equal(data['field'], field)
    }
    assert.deepEqual(await store.listProcesses({ status: 'any' }), [])
  })

  test('P-6: identity follows from the input unless it is said', async ({ store }) => {
    const tool = { callId: 'c', toolId: 't', toolName: 'search', args: {}, prepared: null }
    const envRef = `process-env:sha256:${'1'.repeat(64)}`
    const inputs = [
      external('1', { input: { type: 'tool_call', call: tool }, envRef, disposition: 'rerunnable' }),
      engine('2'),
      external('3', {
        input: { type: 'session_turn', createRequest: { sessionId: 's' }, turnInput: 'hi', outputContract: null },
      }),
      external('4', { input: { type: 'external', metadata: { title: 'A title' } } }),
      external('5', { input: { type: 'external', metadata: null }, identity: { kind: 'own', label: 'mine' } }),
    ]
    for (const registration of inputs) await store.registerProcess(registration)
    const identities = (await store.listProcesses()).map(({ identity }) => identity)
    assert.deepEqual(identities, [
      { kind: 'tool', label: 'search' },
      { kind: 'report' },
      { kind: 'session_turn', label: 's' },
      { kind: 'external', label: 'A title' },
      { kind: 'own', label: 'mine' },
    ])
  })

  test('P-9: what is not there is absent to a point read, and unknown to everything else', async ({ store }) => {
    assert.equal(await store.getProcess('missing'), undefined)
    assert.deepEqual(await store.getTerminal('missing'), { state: 'unknown' })
    assert.equal(await store.getLease('missing'), undefined)
    assert.equal(await store.hasHandleGrant(session('s'), 'missing'), false)
    await store.revokeHandle(session('s'), 'missing')
    await store.completeLease({ processId: 'missing', leaseToken: 'x' })
    const text = 'unknown process `missing`'
    const calls = [
      store.setExternalRef('missing', { backend: 'b', id: 'i' }),
      store.grantHandle(session('s'), 'missing', {}),
      store.handleGrantsForProcess('missing'),
      store.appendEvent('missing', { eventType: 'note', payload: 1 }),
      store.eventsAfter('missing', 0),
      store.firstEventAfter('missing', 'note', 0),
      store.countEventsThrough('missing', 'note', 1),
      store.recentEvents('missing', 1),
      store.wakeEventsAfter('missing', 0),
      store.ackWake('missing', 1),
      store.completeProcess('missing', success(1)),
      store.recordFirstStarted('missing', { owner: { ownerId: 'o', incarnationId: '1' }, startedAtMs: 1 }),
      store.recordedSteps('missing'),
      store.requestAbandon('missing', { requestedBy: 'me', requestedAtMs: 1 }),
      store.setWait('missing', { sinceMs: 1, kind: { type: 'timer', untilMs: 2 } }),
      store.clearWait('missing'),
      store.claimLease('missing', { ownerId: 'o', incarnationId: '1' }, 1),
    ]
    await Promise.all(calls.map((call) => refused(call, 'process.unknown', text)))
  })

  test('P-10: malformed input of every other verb is invalid_input naming the field', async ({ store }) => {
    await store.registerProcess(external('p'))
    const wrong: readonly (readonly [() => Promise<unknown>, string])[] = [
      [() => store.getProcess(''), '$'],
      [() => store.getProcess(1 as never), '$'],
      [() => store.appendEvent('p', { eventType: 'note', payload: undefined } as never), 'payload'],
      [() => store.appendEvent('p', { eventType: 'note', payload: { at: new Date(0) } } as never), 'payload.at'],
      [() => store.appendEvent('p', { eventType: '', payload: 1 }), 'eventType'],
      [() => store.appendEvent('p', { eventType: 'note', payload: 1, replay: { key: '' } }), 'replay.key'],
      [() => store.appendEvent('p', { eventType: 'note', payload: 'x'.repeat(2 ** 20) }), 'payload'],
      [
        () => store.appendEvent('p', { eventType: 'note', payload: 1, replay: { key: 'process:p:step:x:1' } }),
        'replay.key',
      ],
      [() => store.appendEvent('p', { eventType: 'note', payload: 1, extra: 1 } as never), 'extra'],
      [() => store.appendEvent('p', { eventType: 'note', payload: 1 }, { leese: 1 } as never), 'leese'],
      [() => store.appendEvent('p', { eventType: 'note', payload: 1 }, { lease: {} } as never), 'schemaVersion'],
      [() => store.eventsAfter('p', -1), '$'],
      [() => store.eventsAfter('p', 1.5), '$'],
      [() => store.completeProcess('p', { type: 'success' } as never), 'value'],
      [() => store.completeProcess('p', success(1), { type: 'nobody' } as never), 'type'],
      [() => store.listProcesses({ stauts: 'any' } as never), 'stauts'],
      [() => store.listProcesses({ status: 'waiting' } as never), 'status'],
      [() => store.setWait('p', { sinceMs: 1, kind: { type: 'signal' } } as never), 'kind.name'],
      [() => store.setExternalRef('p', { backend: 'b' } as never), 'id'],
      [() => store.claimLease('p', { ownerId: 'o' } as never, 1), 'incarnationId'],
      [() => store.claimLease('p', { ownerId: 'o', incarnationId: '1' }, -1), '$'],
      [() => store.grantHandle({ sessionId: 'ü' }, 'p', {}), 'sessionId'],
      [() => store.pruneTerminal(1, {} as never), 'watermark'],
      [() => store.pruneTerminal(-1, { watermark: { type: 'no_projector' } }), '$'],
    ]
    for (const [call, field] of wrong) {
      const data = await refused(call(), 'invalid_input')
      assert.equal(data['field'], field, JSON.stringify(data))
    }
    assert.deepEqual(await store.eventsAfter('p', 0), [])
    assert.equal((await store.getProcess('p'))?.lastSequence, 0)
  })

  test('P-11: what is handed out cannot be changed', async ({ store }) => {
    const list = [1]
    const registration = external('p', { input: { type: 'external', metadata: { list } } })
    const record = await store.registerProcess(registration)
    // The store keeps a copy of what was passed in.
    list.push(2)
    const payload = { deep: { value: 1 } }
    const { event } = await store.appendEvent('p', { eventType: 'note', payload })
    payload.deep.value = 2
    for (const change of [
      () => Object.assign(record, { status: 'failed' }),
      () => Object.assign(record.input, { type: 'engine' }),
      () => Object.assign(event, { sequence: 9 }),
      () => Object.assign((event.payload as { deep: object }).deep, { value: 3 }),
    ]) {
      assert.throws(change, TypeError)
    }
    assert.deepEqual((await store.getProcess('p'))?.input, { type: 'external', metadata: { list: [1] } })
    assert.deepEqual((await store.eventsAfter('p', 0))[0]?.payload, { deep: { value: 1 } })
  })
}
