import assert from 'node:assert/strict'
import type { AppendRequest, ProcessEventType, ProcessStore } from '../../processes/index.js'
import { cancelRequestKey } from '../../processes/index.js'
import { everythingOf, external, plainType, refused, session, success, wakeType, type SuitePart } from './fixture.js'

const schemaType: ProcessEventType = {
  name: 'progress',
  payloadSchema: {
    type: 'object',
    required: ['percent'],
    properties: { percent: { type: 'integer', minimum: 0, maximum: 100 }, note: { type: 'string' } },
    additionalProperties: false,
  },
  semantics: {},
}

const note = (payload: AppendRequest['payload'], key?: string): AppendRequest => ({
  eventType: 'note',
  payload,
  ...(key !== undefined && { replay: { key } }),
})

/** Tests of appending, replaying, reading and waking. */
export const eventsPart: SuitePart = (test) => {
  test('P-21: the first event is 1, and those of a process go on without gaps', async ({ store }) => {
    await store.registerProcess(external('p'))
    await store.registerProcess(external('q'))
    const results = await Promise.all(Array.from({ length: 20 }, (_, index) => store.appendEvent('p', note(index))))
    assert.deepEqual(
      results.map(({ event }) => event.sequence).toSorted((one, other) => one - other),
      Array.from({ length: 20 }, (_, index) => index + 1),
    )
    assert.ok(results.every(({ replayed, wakeDelivery }) => !replayed && wakeDelivery === undefined))
    assert.equal((await store.appendEvent('q', note(0))).event.sequence, 1)
    const record = await store.getProcess('p')
    assert.equal(record?.lastSequence, 20)
    const last = results.find(({ event }) => event.sequence === 20)
    assert.equal(record?.updatedAtMs, last?.event.occurredAt)
  })

  test('P-21: an append that is refused leaves no event, no change and no gap', async ({ store }) => {
    await store.registerProcess(external('p', { eventTypes: [plainType('note'), schemaType] }))
    await store.appendEvent('p', note(1, 'k'))
    const before = await everythingOf(store, 'p')
    const calls: readonly (readonly [AppendRequest, string])[] = [
      [{ eventType: 'other', payload: 1 }, 'process.event_undeclared'],
      [{ eventType: 'process.step', payload: {} }, 'process.event_reserved'],
      [{ eventType: 'process.waiting', payload: {} }, 'process.event_reserved'],
      [{ eventType: 'process.cancel_requested', payload: {} }, 'process.event_key_required'],
      [{ eventType: 'process.completed', payload: { await_output: success(1) } }, 'process.event_key_required'],
      [{ eventType: 'progress', payload: {} }, 'process.event_payload_invalid'],
      [{ eventType: 'process.failed', payload: {}, replay: { key: 'end' } }, 'process.event_payload_invalid'],
      [
        { eventType: 'process.failed', payload: { await_output: success(1) }, replay: { key: 'end' } },
        'process.event_payload_invalid',
      ],
      [note(2, 'k'), 'process.replay_conflict'],
      [{ eventType: 'progress', payload: 1, replay: { key: 'k' } }, 'process.replay_conflict'],
    ]
    for (const [request, code] of calls) await refused(store.appendEvent('p', request), code)
    assert.deepEqual(await everythingOf(store, 'p'), before)
    assert.equal((await store.appendEvent('p', note(2))).event.sequence, 2)
  })

  test('P-17: a payload must fit what its type declares', async ({ store }) => {
    await store.registerProcess(external('p', { eventTypes: [schemaType] }))
    const wrong: readonly (readonly [unknown, string])[] = [
      [{}, 'percent'],
      [{ percent: 101 }, 'percent'],
      [{ percent: 1.5 }, 'percent'],
      [{ percent: 1, note: 1 }, 'note'],
      [{ percent: 1, other: 1 }, 'other'],
      ['text', '$'],
    ]
    for (const [payload, path] of wrong) {
      const request = { eventType: 'progress', payload } as AppendRequest
      const data = await refused(store.appendEvent('p', request), 'process.event_payload_invalid', path)
      assert.equal(data['path'], path)
    }
    const { event } = await store.appendEvent('p', { eventType: 'progress', payload: { percent: 1 } })
    assert.equal(event.sequence, 1)
  })

  test('P-25: a retry under its key gets the event that is there, and the same wake', async ({ store, advance }) => {
    await store.registerProcess(external('p', { eventTypes: [wakeType('done')], wakeTarget: session('s', 'f') }))
    const request = { eventType: 'done', payload: { a: 1, b: [0] }, replay: { key: 'k' } }
    const first = await store.appendEvent('p', request)
    const record = await store.getProcess('p')
    await advance(5)
    const again = await store.appendEvent('p', { ...request, payload: { b: [-0], a: 1 } })
    assert.deepEqual(again, { ...first, replayed: true })
    assert.deepEqual(await store.getProcess('p'), record)
    assert.equal((await store.eventsAfter('p', 0)).length, 1)
    assert.deepEqual(first.event.invocation, {
      scope: { sessionId: 'runtime' },
      subject: { type: 'process_event', processId: 'p', sequence: 1, eventType: 'done' },
      causedBy: { type: 'process', processId: 'p' },
      replay: { key: 'k' },
    })
    const { wakeId, createdAtMs, eventInvocation, ...wake } = first.wakeDelivery ?? assert.fail('no wake')
    assert.match(wakeId, /^wake:[0-9a-f]{64}$/)
    assert.equal(createdAtMs, first.event.occurredAt)
    assert.deepEqual(eventInvocation, first.event.invocation)
    assert.deepEqual(wake, {
      targetSessionId: 's',
      targetScopeId: 'session:s/frame:f',
      processId: 'p',
      sequence: 1,
      eventType: 'done',
      dedupeKey: 'p:1',
      input: { a: 1, b: [0] },
    })
  })

  test('P-25: a retry is told to be one on a process that has ended, too', async ({ store }) => {
    await store.registerProcess(external('p'))
    const first = await store.appendEvent('p', note(1, 'k'))
    await store.completeProcess('p', success(1))
    assert.deepEqual(await store.appendEvent('p', note(1, 'k')), { ...first, replayed: true })
  })

  test('P-29: an event may follow the end and puts pruning off; a signal may not', async ({ store, advance }) => {
    await store.registerProcess(external('p', { eventTypes: [plainType('note'), plainType('signal.go')] }))
    const { record } = await store.completeProcess('p', success(1))
    await advance(5)
    const { event } = await store.appendEvent('p', note('late'))
    assert.equal(event.sequence, 2)
    assert.equal((await store.getProcess('p'))?.updatedAtMs, event.occurredAt)
    assert.ok(event.occurredAt > record.updatedAtMs)
    const data = await refused(
      store.appendEvent('p', { eventType: 'signal.go', payload: 1 }),
      'process.already_terminal',
      '`p`',
    )
    assert.equal(data['status'], 'completed')
  })

  test('P-12: events are read behind a cursor, from the end, by type, and counted', async ({ store }) => {
    await store.registerProcess(external('p', { eventTypes: [plainType('note'), plainType('other')] }))
    for (const eventType of ['note', 'other', 'note', 'note', 'other']) {
      await store.appendEvent('p', { eventType, payload: null })
    }
    const sequences = (events: readonly { readonly sequence: number }[]): number[] =>
      events.map(({ sequence }) => sequence)
    assert.deepEqual(sequences(await store.eventsAfter('p', 0)), [1, 2, 3, 4, 5])
    assert.deepEqual(sequences(await store.eventsAfter('p', 3)), [4, 5])
    assert.deepEqual(await store.eventsAfter('p', 5), [])
    assert.deepEqual(await store.eventsAfter('p', Number.MAX_SAFE_INTEGER), [])
    assert.deepEqual(sequences(await store.recentEvents('p', 2)), [4, 5])
    assert.deepEqual(sequences(await store.recentEvents('p', 100)), [1, 2, 3, 4, 5])
    assert.deepEqual(await store.recentEvents('p', 0), [])
    const counts = [
      await store.countEventsThrough('p', 'note', 5),
      await store.countEventsThrough('p', 'note', 3),
      await store.countEventsThrough('p', 'note', 0),
      await store.countEventsThrough('p', 'missing', 5),
    ]
    assert.deepEqual(counts, [3, 2, 0, 0])
    assert.equal((await store.firstEventAfter('p', 'note', 0))?.sequence, 1)
    assert.equal((await store.firstEventAfter('p', 'note', 1))?.sequence, 3)
    assert.equal(await store.firstEventAfter('p', 'note', 4), undefined)
    assert.equal(await store.firstEventAfter('p', 'missing', 0), undefined)
  })

  test('P-7: a bound beyond what a store can hold is no bound', async ({ store }) => {
    await store.registerProcess(external('p'))
    await store.appendEvent('p', note(1))
    await store.appendEvent('p', note(2))
    for (const bound of [2 ** 53, 2 ** 64, Number.POSITIVE_INFINITY]) {
      assert.equal(await store.countEventsThrough('p', 'note', bound), 2)
      assert.equal((await store.recentEvents('p', bound)).length, 2)
    }
  })

  test('P-18: wakes follow from when, input and dedupe key', async ({ store }) => {
    const wakes = (wake: NonNullable<ProcessEventType['semantics']['wake']>, name: string): ProcessEventType => ({
      name,
      payloadSchema: {},
      semantics: { wake },
    })
    const payload = { type: 'payload' } as const
    const template = {
      type: 'template',
      template: '{name} is {state}, {unknown}',
      fields: { name: { type: 'pointer', pointer: '/name' }, state: { type: 'const', value: { done: true } } },
    } as const
    const eventTypes = [
      wakes({ when: { type: 'pointer', pointer: '/urgent' }, input: payload }, 'when'),
      wakes({ when: { type: 'present', pointer: '/a~1b' }, input: { type: 'const', value: [1] } }, 'present'),
      wakes({ input: template }, 'template'),
      wakes({ input: payload, dedupeKey: { type: 'const', key: 'one' } }, 'const'),
      wakes(
        { input: payload, dedupeKey: { type: 'selector', selector: { type: 'pointer', pointer: '/id' } } },
        'selector',
      ),
    ]
    for (const id of ['p', 'q']) {
      await store.registerProcess(external(id, { eventTypes, wakeTarget: session('s') }))
    }
    const append = async (id: string, eventType: string, value: AppendRequest['payload']) =>
      (await store.appendEvent(id, { eventType, payload: value })).wakeDelivery
    for (const urgent of [false, null, '', [], {}]) assert.equal(await append('p', 'when', { urgent }), undefined)
    for (const urgent of [true, 0, 'x', [0], { a: 1 }])
      assert.deepEqual((await append('p', 'when', { urgent }))?.input, { urgent })
    assert.equal(await append('p', 'present', { a: 1 }), undefined)
    assert.deepEqual((await append('p', 'present', { 'a/b': null }))?.input, [1])
    // Inserted text is never treated as a placeholder.
    assert.equal((await append('p', 'template', { name: '{state}' }))?.input, '{state} is {"done":true}, {unknown}')
    await refused(append('p', 'template', {}), 'process.event_payload_invalid', '/name')
    const [one, other] = [await append('p', 'const', 1), await append('q', 'const', 2)]
    assert.equal(one?.wakeId, other?.wakeId)
    assert.equal(one?.dedupeKey, 'one')
    const [first, second] = [await append('p', 'selector', { id: 7 }), await append('q', 'selector', { id: '7' })]
    assert.equal(first?.wakeId, second?.wakeId)
    assert.notEqual(first?.wakeId, one?.wakeId)
    const listed = (await store.wakeEventsAfter('q', 0)).map(({ eventType }) => eventType)
    assert.deepEqual(listed, ['const', 'selector'])
  })

  test('P-18: without a target an event wakes nobody; an append may name one of its own', async ({ store }) => {
    await store.registerProcess(external('p', { eventTypes: [wakeType('done')] }))
    const request = { eventType: 'done', payload: 1 }
    assert.equal((await store.appendEvent('p', request)).wakeDelivery, undefined)
    assert.equal((await store.wakeEventsAfter('p', 0)).length, 1)
    assert.deepEqual(await store.pendingWakes(10), [])
    const named = { ...request, wakeTargetScope: session('other'), replay: { key: 'k' } }
    const { wakeDelivery } = await store.appendEvent('p', named)
    assert.equal(wakeDelivery?.targetScopeId, 'session:other')
    assert.deepEqual(
      (await store.pendingWakes(10)).map(({ delivery }) => delivery),
      [wakeDelivery],
    )
    const { wakeTargetScope: _, ...retry } = named
    assert.deepEqual((await store.appendEvent('p', retry)).wakeDelivery, wakeDelivery)
  })

  test('P-51: an acknowledged wake is not listed again', async ({ store }) => {
    for (const id of ['a', 'b']) {
      await store.registerProcess(external(id, { eventTypes: [wakeType('done')], wakeTarget: session('s') }))
      for (const payload of [1, 2, 3]) await store.appendEvent(id, { eventType: 'done', payload })
    }
    assert.deepEqual(await positions(store, 10), ['a:1', 'a:2', 'a:3', 'b:1', 'b:2', 'b:3'])
    const before = await store.getProcess('a')
    await store.ackWake('a', 2)
    await store.ackWake('a', 2)
    await store.ackWake('a', 99)
    assert.deepEqual(await store.getProcess('a'), before)
    assert.deepEqual(
      (await store.wakeEventsAfter('a', 0)).map(({ sequence }) => sequence),
      [1, 3],
    )
    assert.deepEqual(
      (await store.wakeEventsAfter('a', 1)).map(({ sequence }) => sequence),
      [3],
    )
    assert.deepEqual(await positions(store, 2), ['a:1', 'a:3'])
    const [, last] = await store.pendingWakes(2)
    const rest = await store.pendingWakes(10, { processId: 'a', sequence: last?.event.sequence ?? 0 })
    assert.deepEqual(
      rest.map(({ event }) => `${event.processId}:${event.sequence}`),
      ['b:1', 'b:2', 'b:3'],
    )
  })

  test('P-23: a request to cancel needs its key, which is of one size however long the reason is', async ({
    store,
  }) => {
    await store.registerProcess(external('p'))
    const payload = { reason: 'x'.repeat(6400) }
    const key = cancelRequestKey('p', payload)
    const request = { eventType: 'process.cancel_requested', payload, replay: { key } }
    assert.equal((await store.appendEvent('p', request)).replayed, false)
    assert.equal((await store.appendEvent('p', request)).replayed, true)
    assert.equal((await store.getProcess('p'))?.status, 'running')
    const { record } = await store.completeProcess('p', { type: 'cancelled', message: 'as asked' })
    assert.equal(record.status, 'cancelled')
  })
}

async function positions(store: ProcessStore, limit: number): Promise<string[]> {
  return (await store.pendingWakes(limit)).map(({ event }) => `${event.processId}:${event.sequence}`)
}
