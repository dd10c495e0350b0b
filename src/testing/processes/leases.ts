import assert from 'node:assert/strict'
import { acquire, engine, external, leaseIn, owner, refused, session, success, type SuitePart } from './fixture.js'

/** Tests of leases, and of who may address a process. */
export const leasesPart: SuitePart = (test) => {
  test('P-40: a live lease keeps others out, and its own incarnation enters again', async ({ store, advance }) => {
    await store.registerProcess(engine('p'))
    assert.equal(await store.getLease('p'), undefined)
    const lease = await acquire(store, 'p', owner('o'))
    assert.equal(lease.fencingToken, 1)
    assert.equal(lease.schemaVersion, 2)
    assert.equal(lease.expiresAtMs - lease.claimedAtMs, 60_000)
    assert.deepEqual(await store.getLease('p'), lease)
    for (const other of [owner('other'), owner('o', '2')]) {
      assert.deepEqual(await store.claimLease('p', other, 1000), { outcome: 'busy', holder: lease })
    }
    await advance(10)
    const again = await acquire(store, 'p', owner('o'))
    assert.equal(again.leaseToken, lease.leaseToken)
    assert.equal(again.fencingToken, 1)
    assert.equal(again.claimedAtMs, lease.claimedAtMs)
    assert.ok(again.expiresAtMs >= lease.expiresAtMs)
    assert.equal((await store.getProcess('p'))?.lastSequence, 0)
  })

  test('P-254: a claim that begins an execution is one change', async ({ store, advance }) => {
    await store.registerProcess(engine('p', 'rerunnable', { maxAttempts: 2 }))
    const started = { owner: owner('w'), startedAtMs: 5 }
    const first = await store.claimAndStart('p', owner('o'), started, 1000)
    assert.equal(first.outcome, 'started')
    assert.deepEqual(first.record.firstStarted, { ...started, fencingToken: 1, attempt: 1 })
    assert.deepEqual(await store.getLease('p'), first.lease)
    assert.deepEqual(await store.getProcess('p'), first.record)
    assert.deepEqual(await store.claimAndStart('p', owner('other'), started, 1000), {
      outcome: 'busy',
      holder: first.lease,
    })
    await advance(1000)
    const second = await store.claimAndStart('p', owner('other'), started, 1000)
    assert.equal(second.outcome, 'started')
    assert.deepEqual(second.record.firstStarted, { ...started, fencingToken: 2, attempt: 2 })
    assert.deepEqual(await store.getLease('p'), second.lease)
    assert.deepEqual(second.lease.owner, owner('other'))
    await refused(store.completeWithLease(first.lease, success(1)), 'process.lease_superseded')
    await advance(1000)
    await refused(store.claimAndStart('p', owner('third'), started, 1000), 'process.attempts_exhausted')
    assert.equal(await store.getLease('p'), undefined)
    const ended = await store.claimAndStart('p', owner('third'), started, 1000)
    assert.equal(ended.outcome, 'ended')
    assert.equal(ended.record.status, 'abandoned')
    const types = (await store.eventsAfter('p', 0)).map(({ eventType }) => eventType)
    assert.deepEqual(types, ['process.first_started', 'process.first_started', 'process.abandoned'])
  })

  test('P-254: a start that is refused claims nothing', async ({ store }) => {
    const started = { owner: owner('w'), startedAtMs: 5 }
    await refused(store.claimAndStart('missing', owner('o'), started, 1000), 'process.unknown')
    await store.registerProcess(external('outside'))
    await refused(store.claimAndStart('outside', owner('o'), started, 1000), 'process.disposition_unfit')
    await store.registerProcess(engine('bound', 'owner_bound'))
    const begun = await store.claimAndStart('bound', owner('o'), started, 1000)
    assert.equal(begun.outcome, 'started')
    await store.completeLease(begun.lease)
    await refused(store.claimAndStart('bound', owner('other'), started, 1000), 'process.already_started')
    await refused(store.claimAndStart('bound', owner('other'), { ...started, startedAtMs: -1 }, 1000), 'invalid_input')
    for (const id of ['outside', 'bound']) assert.equal(await store.getLease(id), undefined)
    assert.equal((await acquire(store, 'bound', owner('other'))).fencingToken, 2)
  })

  test('P-40: a lease that expires now is expired, and the next one has a higher fence', async ({ store, advance }) => {
    await store.registerProcess(engine('p'))
    const lease = await acquire(store, 'p', owner('o'), 0)
    assert.deepEqual(await store.getLease('p'), lease)
    await refused(store.renewLease(lease, 1000), 'process.lease_superseded')
    const next = await acquire(store, 'p', owner('o'), 1000)
    assert.equal(next.fencingToken, 2)
    assert.notEqual(next.leaseToken, lease.leaseToken)
    await advance(1000)
    const third = await acquire(store, 'p', owner('other'), 1000)
    assert.equal(third.fencingToken, 3)
    await refused(store.renewLease(next, 1000), 'process.lease_superseded', 'missing or expired')
    assert.deepEqual(await store.getLease('p'), third)
  })

  test('P-42: a renewed lease outlives its first length', async ({ store, advance }) => {
    await store.registerProcess(engine('p'))
    const lease = await acquire(store, 'p', owner('o'), 60_000)
    const renewed = await store.renewLease(lease, 600_000)
    assert.equal(renewed.leaseToken, lease.leaseToken)
    assert.ok(renewed.expiresAtMs > lease.expiresAtMs)
    await advance(60_001)
    assert.equal((await store.claimLease('p', owner('other'), 1000)).outcome, 'busy')
    // It is still the same lease.
    await store.renewLease(lease, 600_000)
  })

  test('P-42: many leases are renewed together; the answer names those that are held', async ({ store }) => {
    const leases = []
    for (const id of ['a', 'b', 'c']) {
      await store.registerProcess(engine(id))
      leases.push(await acquire(store, id, owner('o'), id === 'b' ? 0 : 60_000))
    }
    await acquire(store, 'b', owner('other'))
    const held = await store.renewLeases(leases, 600_000)
    assert.deepEqual(
      held.map(({ processId }) => processId),
      ['a', 'c'],
    )
    for (const lease of held) assert.deepEqual(await store.getLease(lease.processId), lease)
    assert.deepEqual(await store.renewLeases([], 1), [])
  })

  test('P-43: a release frees the process and keeps the fence; a late one frees nobody', async ({ store }) => {
    await store.registerProcess(engine('p'))
    const lease = await acquire(store, 'p', owner('o'))
    await store.completeLease({ processId: 'p', leaseToken: lease.leaseToken })
    assert.equal(await store.getLease('p'), undefined)
    await refused(store.renewLease(lease, 1000), 'process.lease_superseded')
    const next = await acquire(store, 'p', owner('other'))
    assert.equal(next.fencingToken, 2)
    await store.completeLease({ processId: 'p', leaseToken: lease.leaseToken })
    assert.deepEqual(await store.getLease('p'), next)
  })

  test('P-44: only a holder that was observed and is dead is taken the lease from', async ({ store, declareDead }) => {
    await store.registerProcess(engine('p'))
    const lease = await acquire(store, 'p', owner('o'))
    const claimant = owner('other')
    const busy = { outcome: 'busy', holder: lease }
    assert.deepEqual(await store.reclaimLease('p', claimant, lease, 60_000), busy)
    assert.equal(store.isHolderDead(lease, claimant), false, 'nobody was declared dead yet')
    declareDead(lease)
    assert.equal(store.isHolderDead(lease, claimant), true, 'declareDead of the fixture has to reach isHolderDead')
    assert.deepEqual(await store.claimLease('p', claimant, 60_000), busy)
    for (const stale of [
      { ...lease, leaseToken: 'x' },
      { ...lease, fencingToken: 7 },
      { ...lease, owner: owner('o', '2') },
      { ...lease, processId: 'q' },
    ]) {
      assert.deepEqual(await store.reclaimLease('p', claimant, stale, 60_000), busy)
    }
    const outcomes = await Promise.all(['x', 'y'].map((name) => store.reclaimLease('p', owner(name), lease, 60_000)))
    assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), ['acquired', 'busy'])
    const won = outcomes.find(({ outcome }) => outcome === 'acquired')
    assert.equal(won && leaseIn(won).fencingToken, 2)
    await refused(store.completeWithLease(lease, success(1)), 'process.lease_superseded')
  })

  test('P-44: what is free is reclaimed like claimed', async ({ store }) => {
    await store.registerProcess(engine('p'))
    const lease = await acquire(store, 'p', owner('o'), 0)
    assert.equal(leaseIn(await store.reclaimLease('p', owner('other'), lease, 0)).fencingToken, 2)
  })

  test('P-45: a handle is granted, seen and revoked; the last descriptor wins', async ({ store }) => {
    const scope = session('s', 'f')
    await store.registerProcess(external('p'))
    const before = await store.getProcess('p')
    assert.equal(await store.hasHandleGrant(scope, 'p'), false)
    const grant = await store.grantHandle(scope, 'p', { kind: 'tool', label: 'one' })
    assert.deepEqual(grant, {
      sessionId: 's',
      scopeId: 'session:s/frame:f',
      processId: 'p',
      descriptor: { kind: 'tool', label: 'one' },
    })
    assert.equal(await store.hasHandleGrant(scope, 'p'), true)
    assert.equal(await store.hasHandleGrant(session('s'), 'p'), false)
    await store.grantHandle(scope, 'p', { label: 'two' })
    const entries = await store.listHandleGrants(scope)
    assert.deepEqual(entries, [[{ ...grant, descriptor: { label: 'two' } }, before]])
    await store.revokeHandle(scope, 'p')
    assert.equal(await store.hasHandleGrant(scope, 'p'), false)
    assert.deepEqual(await store.listHandleGrants(scope), [])
    assert.deepEqual(await store.getProcess('p'), before)
  })

  test('P-46: handles are handed on all or none, with their descriptors', async ({ store }) => {
    for (const id of ['a', 'b', 'c']) await store.registerProcess(external(id))
    const [from, to] = [session('from'), session('to', 'f')]
    await store.grantHandle(from, 'a', { label: 'a' })
    await store.grantHandle(from, 'b', { label: 'b' })
    await store.grantHandle(to, 'b', { label: 'overwritten' })
    const data = await refused(store.transferHandleGrants(from, to, ['a', 'c', 'b']), 'process.grant_missing', '`c`')
    assert.equal(data['sessionId'], 'from')
    assert.deepEqual((await store.listHandleGrants(from)).length, 2)
    await store.transferHandleGrants(from, to, ['a', 'b'])
    const labels = (await store.listHandleGrants(to)).map(([{ descriptor }]) => descriptor.label)
    assert.deepEqual(labels, ['a', 'b'])
    assert.deepEqual(await store.listHandleGrants(from), [])
    await refused(store.transferHandleGrants(from, to, ['a']), 'process.grant_missing')
    assert.deepEqual(await store.eventsAfter('a', 0), [])
  })

  test('P-47: handles are listed in order; those of what has ended only in all history', async ({ store }) => {
    for (const id of ['c', 'a', 'b']) {
      await store.registerProcess(external(id))
      await store.grantHandle(session('s'), id, {})
    }
    await store.completeProcess('b', success(1))
    const ids = (entries: readonly (readonly [{ readonly processId: string }, unknown])[]): string[] =>
      entries.map(([{ processId }]) => processId)
    assert.deepEqual(ids(await store.listHandleGrants(session('s'))), ['a', 'b', 'c'])
    assert.deepEqual(ids(await store.listLiveHandleGrants(session('s'))), ['a', 'c'])
    for (const scope of [session('z'), session('b', '2'), session('b', '1'), session('b')]) {
      await store.grantHandle(scope, 'a', {})
    }
    const scopes = (await store.handleGrantsForProcess('a')).map(({ scopeId }) => scopeId)
    assert.deepEqual(scopes, ['session:b', 'session:b/frame:1', 'session:b/frame:2', 'session:s', 'session:z'])
    assert.deepEqual(await store.listHandleGrants(session('nobody')), [])
  })

  test('P-48: deleting a session takes its handles and wake targets, and ends nothing', async ({ store }) => {
    const scope = session('gone')
    for (const id of ['sole', 'shared', 'terminal', 'target', 'other']) {
      const wakeTarget = id === 'other' ? session('stays') : session('gone', 'frame')
      await store.registerProcess(external(id, { wakeTarget }))
    }
    for (const id of ['terminal', 'sole', 'shared']) await store.grantHandle(scope, id, {})
    await store.grantHandle(session('stays'), 'shared', {})
    await store.ackWake('sole', 3)
    await store.completeProcess('terminal', success(1))
    const report = await store.deleteSessionProcessState('gone')
    assert.deepEqual(report, {
      sessionId: 'gone',
      revokedHandleCount: 3,
      deletedWakeCount: 0,
      orphanedProcessIds: ['sole'],
      preservedProcessIds: ['shared'],
    })
    for (const id of ['sole', 'shared', 'terminal', 'target']) {
      const record = await store.getProcess(id)
      assert.equal(record?.wakeTarget, undefined)
      assert.equal(record?.lastSequence, id === 'terminal' ? 1 : 0)
    }
    assert.deepEqual((await store.getProcess('other'))?.wakeTarget, session('stays'))
    assert.equal((await store.handleGrantsForProcess('shared')).length, 1)
    assert.equal((await store.listNonTerminal()).length, 4)
    const again = await store.deleteSessionProcessState('gone')
    assert.deepEqual(again, { ...report, revokedHandleCount: 0, orphanedProcessIds: [], preservedProcessIds: [] })
  })
}
