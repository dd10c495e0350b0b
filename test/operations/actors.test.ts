import { describe, expect, it } from 'vitest'
import { Actor, toPromise, waitFor, type AnyActorRef, type InspectionEvent } from 'xstate'
import { createMemoryJournal, type MemoryJournalStore } from '../../src/journal/memory-journal.js'
import { settled } from './support/background.js'
import { completed, idOf, openFixture, turnId, specOf, type Fixture } from './support/registry.js'

/** The children of a registry, as a viewer sees them. */
function childrenOf({ session }: Fixture): Record<string, AnyActorRef | undefined> {
  return session.history.core.actor.getSnapshot().children
}

/** The actor of an operation, found as a viewer finds it: among the children of its registry. */
function actorOf(fixture: Fixture, number: number): AnyActorRef {
  const actor = childrenOf(fixture)[idOf(number)]
  if (actor === undefined) throw new Error(`no child ${number}`)
  return actor
}

/** A fixture whose inspection events are kept as text. */
async function inspected(options: { readonly store?: MemoryJournalStore } = {}) {
  const seen: string[] = []
  const inspect = (event: InspectionEvent): void => {
    if (event.type !== '@xstate.event') return
    const source = event.sourceRef as AnyActorRef | undefined
    const { id } = event.actorRef as AnyActorRef
    const { type, code, request } = event.event as { type: string; code?: string; request?: string }
    const refused = code === undefined ? '' : ` ${request}: ${code}`
    seen.push(`${source?.id ?? 'outside'} > ${id}: ${type}${refused}`)
  }
  const fixture = await openFixture({}, { ...options, inspect })
  return { fixture, seen, take: () => seen.splice(0) }
}

const registryName = 'operation-registry owner'

describe('the children in the snapshot of a registry', () => {
  it('are its operations by id, live, and nothing besides', async () => {
    const fixture = await openFixture()
    const children = childrenOf(fixture)
    expect(children[idOf(1)]).toBeUndefined()
    await fixture.run([1])
    expect(children[idOf(1)]).toBeInstanceOf(Actor)
    expect([idOf(1) in children, Object.hasOwn(children, idOf(1)), idOf(2) in children]).toEqual([true, true, false])
    expect(children[idOf(1)]?.getSnapshot().value).toBe('running')
    expect(children['then']).toBeUndefined()
  })

  it('are for reading only', async () => {
    const fixture = await openFixture()
    await fixture.run([1])
    const children = childrenOf(fixture)
    expect(Reflect.set(children, idOf(1), 'another')).toBe(false)
    expect(Reflect.deleteProperty(children, idOf(1))).toBe(false)
    expect(Reflect.defineProperty(children, 'more', { value: 1 })).toBe(false)
  })

  it('are found by no loop of XState, and are in no snapshot that is written down', async () => {
    const fixture = await openFixture()
    await fixture.run([1, 2, 3])
    const { actor } = fixture.session.history.core
    const { children } = actor.getSnapshot()
    const walked: string[] = []
    for (const id in children) walked.push(id)
    expect([walked, Object.values(children), { ...children }]).toEqual([[], [], {}])
    expect(JSON.stringify(children)).toBe('{"operations":3}')
    expect(JSON.stringify(actor.getSnapshot())).not.toContain(idOf(1))
    expect(actor.getPersistedSnapshot()).toMatchObject({ children: {} })
    expect(JSON.stringify(actor.getPersistedSnapshot())).not.toContain(idOf(1))
  })

  it('can be waited for, and end with their outcome', async () => {
    const fixture = await openFixture()
    await fixture.operations.registerOperation(specOf(1))
    const actor = actorOf(fixture, 1)
    const running = waitFor(actor, (snapshot: { value: unknown }) => snapshot.value === 'running')
    const output = toPromise(actor)
    await fixture.operations.provisioningSucceeded(idOf(1))
    await running
    await fixture.complete(1)
    expect(await output).toEqual(completed(1))
  })
})

describe('an event sent to an operation from outside', () => {
  it('is a request to its registry: durable before it is visible', async () => {
    const store = createMemoryJournal()
    const fixture = await openFixture({}, { store })
    await fixture.run([1])
    const actor = actorOf(fixture, 1)
    actor.send({ type: 'complete', outcome: completed(1) })
    expect(actor.getSnapshot().value).toBe('running')
    expect(await fixture.operations.registerWatcher(idOf(1))).toEqual(completed(1))
    expect(actor.getSnapshot().value).toBe('completed')
    expect(fixture.session.feed.since(0).entries).toHaveLength(1)
  })

  it.each([
    ['start', {}, 'provisioning', 'running'],
    ['progress_reported', {}, 'running', 'running'],
    ['retire_requested', {}, 'running', 'retiring'],
    ['retire_completed', { outcome: { type: 'retired' } }, 'running', 'retired'],
    ['fail', { outcome: { type: 'failed', error: 'broken' } }, 'running', 'failed'],
    ['abort', { outcome: { type: 'aborted', reason: null } }, 'provisioning', 'aborted'],
    ['cancel', { outcome: { type: 'cancelled', reason: 'asked' } }, 'running', 'cancelled'],
    ['terminate', { outcome: { type: 'terminated', reason: 'left' } }, 'running', 'terminated'],
  ] as const)('%s is carried out', async (type, more, from, to) => {
    const fixture = await openFixture()
    await fixture.operations.registerOperation(specOf(1))
    if (from === 'running') await fixture.operations.provisioningSucceeded(idOf(1))
    actorOf(fixture, 1).send({ type, ...more })
    await fixture.session.flush()
    expect(fixture.operations.snapshot(idOf(1))).toMatchObject({
      status: to,
      progressCount: type === 'progress_reported' ? 1 : 0,
    })
  })

  it.each([
    ['abort', { outcome: { type: 'aborted', reason: null } }, 'operation.abort: invalid_transition'],
    ['complete', { outcome: { type: 'retired' } }, 'operation.complete: internal'],
    ['complete', { outcome: { type: 'nothing' } }, 'operation.complete: invalid_input'],
    ['complete', {}, 'operation.complete: invalid_input'],
    ['peer_ready', {}, 'peer_ready: invalid_input'],
    ['xstate.stop', {}, 'xstate.stop: invalid_input'],
  ] as const)('%s with %o is refused, changes nothing, and is shown as refused', async (type, more, shown) => {
    const { fixture, take } = await inspected()
    await fixture.run([1])
    take()
    actorOf(fixture, 1).send({ type, ...more })
    await settled()
    expect(fixture.operations.snapshot(idOf(1))).toMatchObject({ status: 'running', progressCount: 0 })
    expect(take()).toEqual([`outside > ${registryName}: request.refused ${shown}`])
  })

  it('is refused once the operation has ended', async () => {
    const { fixture, take } = await inspected()
    await fixture.finish(1)
    take()
    actorOf(fixture, 1).send({ type: 'cancel', outcome: { type: 'cancelled', reason: null } })
    await fixture.session.flush()
    expect(fixture.operations.snapshot(idOf(1))?.status).toBe('completed')
    expect(take()).toEqual([`outside > ${registryName}: request.refused operation.cancel: invalid_transition`])
  })
})

describe('an inspector', () => {
  it('is shown who sent each event', async () => {
    const { fixture, take } = await inspected()
    await fixture.finish(1)
    expect(take().filter((text) => text.includes('operation:'))).toEqual([
      `${registryName} > operation: xstate.init`,
      `${registryName} > operation: start`,
      `${registryName} > operation: complete`,
    ])
  })

  it('is shown what was refused, by its code', async () => {
    const { fixture, take } = await inspected()
    await fixture.run([1])
    take()
    await fixture.operations.provisioningSucceeded(idOf(1)).catch(() => {})
    await fixture.operations.registerOperation(specOf(1)).catch(() => {})
    await fixture.operations.waitAll(turnId, [idOf(7)]).result.catch(() => {})
    expect(take()).toEqual([
      `outside > ${registryName}: request.refused operation.start: invalid_transition`,
      `outside > ${registryName}: request.refused register: already_registered`,
      `outside > ${registryName}: request.refused wait_all.begin: not_found`,
    ])
  })

  it('is shown what the checks of the arguments refuse, once for each', async () => {
    const { fixture, take } = await inspected()
    await fixture.run([1])
    take()
    const { operations } = fixture
    await operations.registerOperation({} as never).catch(() => {})
    await operations.provisioningSucceeded(7 as never).catch(() => {})
    await operations.reportProgress(idOf(1), {} as never).catch(() => {})
    await operations.peerReady(idOf(1), {} as never).catch(() => {})
    await operations.completeOperation(idOf(1), {} as never).catch(() => {})
    await operations.terminateOwner(7 as never).catch(() => {})
    await operations.waitAll(7 as never, []).result.catch(() => {})
    const requests = [
      'register',
      'operation.start',
      'operation.progress_reported',
      'operation.peer_ready',
      'operation.complete',
      'owner.terminate',
      'wait_all.begin',
    ]
    expect(take()).toEqual(requests.map((type) => `outside > ${registryName}: request.refused ${type}: invalid_input`))
  })

  it('is shown what the lane refuses, and what it takes back', async () => {
    const store = createMemoryJournal()
    const { fixture, take } = await inspected({ store })
    await fixture.run([1, 2])
    await fixture.session.flush()
    take()
    store.failNext('sync')
    await fixture.operations.cancelOperation(idOf(1)).catch(() => {})
    await fixture.operations.cancelOperation(idOf(2)).catch(() => {})
    expect(take()).toEqual([
      `outside > ${registryName}: request.refused operation.cancel: lane_durability_unknown`,
      `outside > ${registryName}: request.refused operation.cancel: lane_poisoned`,
    ])
  })
})
