import { describe, expect, it, vi } from 'vitest'
import {
  Actor,
  assign,
  createActor,
  setup,
  toPromise,
  waitFor,
  type AnyActorRef,
  type AnyMachineSnapshot,
  type InspectionEvent,
} from 'xstate'
import type * as xstate from 'xstate'
import { fastMachine } from '../../machines/fast-machine.js'
import { LeanActors, rowActors, StockActors } from '../../machines/row-actors.js'

interface Context {
  readonly name: string
  readonly count: number
}

const chart = setup({
  types: {
    context: {} as Context,
    input: {} as { readonly name: string },
    output: {} as string,
    events: {} as { readonly type: 'count' } | { readonly type: 'go' } | { readonly type: 'end' },
  },
  actions: { count: assign({ count: ({ context }) => context.count + 1 }) },
}).createMachine({
  id: 'thing',
  context: ({ input }) => ({ name: input.name, count: 0 }),
  output: ({ context }) => `${context.name} ${context.count}`,
  initial: 'idle',
  states: {
    idle: { on: { go: 'busy' } },
    busy: { on: { count: { actions: 'count' }, end: 'ended' }, tags: ['at work'] },
    ended: { type: 'final' },
  },
})
type Chart = typeof chart
const machine = fastMachine(chart)
const parentChart = setup({ types: { events: {} as { readonly type: string } } }).createMachine({ id: 'parent' })

type Name = 'lean' | 'stock' | 'reference'
const names: readonly Name[] = ['lean', 'stock', 'reference']

/** What can be done to a thing and seen of it, whichever class its actor is of. */
interface Subject {
  readonly actor: AnyActorRef
  readonly parent: AnyActorRef
  readonly sent: unknown[]
  readonly inspected: string[]
  send(type: 'count' | 'go' | 'end'): void
  stop(): void
}

function subject(name: Name, { isInspected = true } = {}): Subject {
  const inspected: string[] = []
  const note = (event: InspectionEvent): void => {
    // The stock machine shows its microsteps, the shortened one does not.
    if (!['@xstate.actor', '@xstate.event', '@xstate.snapshot'].includes(event.type)) return
    const { id } = event.actorRef as AnyActorRef
    const what = 'event' in event ? { ...event.event, input: undefined } : undefined
    const source = 'sourceRef' in event ? ((event.sourceRef as AnyActorRef | undefined)?.id ?? 'nobody') : undefined
    const shown = 'snapshot' in event && id === 'thing' ? look(event.snapshot as AnyMachineSnapshot) : undefined
    inspected.push(JSON.stringify([event.type, id, source, what, shown]))
  }
  const parent = createActor(parentChart, { id: 'parent', ...(isInspected && { inspect: note }) }).start()
  const sent: unknown[] = []
  if (name === 'reference') {
    const actor = createActor(chart, { parent, id: 'thing', input: { name: 'a' } }).start()
    // What XState does when a parent sends to its child, and when it stops it.
    const relay = Reflect.get(parent.system, '_relay') as (...values: unknown[]) => void
    const stop = Reflect.get(actor, '_stop') as () => void
    const send = (type: string): void => relay(parent, actor, { type })
    return { actor, parent, sent, inspected, send, stop: () => stop.call(actor) }
  }
  const Actors = name === 'lean' ? LeanActors : StockActors
  const actors = new Actors({
    machine,
    parent,
    id: 'thing',
    onSend: (row, event) => sent.push([row.context.name, event]),
  })
  const row = actors.show(machine.initialPlace({ name: 'a' }))
  const send = (type: 'count' | 'go' | 'end'): void => actors.move(row, { type }, machine.decide(row, { type }))
  return { actor: row.actor, parent, sent, inspected, send, stop: () => actors.stop(row) }
}

function look(snapshot: AnyMachineSnapshot): unknown {
  const { status, value, context, output } = snapshot
  const can = (['count', 'go', 'end'] as const).map((type) => snapshot.can({ type }))
  return { status, value, context, output, can, tags: [...snapshot.tags], matches: snapshot.matches('busy') }
}

/** Everything that happens to whoever watches, in order. */
function watched({ actor }: Subject): unknown[] {
  const seen: unknown[] = []
  actor.subscribe({
    next: (snapshot: AnyMachineSnapshot) => seen.push(look(snapshot)),
    complete: () => seen.push('complete'),
    error: (error: unknown) => seen.push(['error', error]),
  })
  return seen
}

/** The same done to each kind; what it returns has to be the same, and is returned once. */
async function alike<Result>(run: (subject: Subject) => Result | Promise<Result>): Promise<Result> {
  const results: Result[] = []
  for (const name of names) results.push(await run(subject(name)))
  expect(results[0]).toEqual(results[2])
  expect(results[1]).toEqual(results[2])
  return results[0] as Result
}

const life = ['go', 'count', 'count', 'end'] as const

describe('the actor of a row cannot be told from a stock one', () => {
  it('by its class', async () => {
    expect(await alike(({ actor }) => [actor instanceof Actor, actor.id, JSON.stringify(actor)])).toEqual([
      true,
      'thing',
      '{"xstate$$type":1,"id":"thing"}',
    ])
  })

  it('by its snapshots', async () => {
    const seen = await alike(({ actor, send }) => {
      const looks = [look(actor.getSnapshot())]
      for (const type of life) {
        send(type)
        looks.push(look(actor.getSnapshot()))
      }
      return looks
    })
    expect(seen.at(-1)).toMatchObject({ status: 'done', value: 'ended', context: { count: 2 }, output: 'a 2' })
    expect(seen).toHaveLength(5)
  })

  it('by its subscribers, which hear of every step and of the end', async () => {
    const seen = await alike((one) => {
      const heard = watched(one)
      for (const type of life) one.send(type)
      return heard
    })
    expect(seen).toHaveLength(5)
    expect(seen.at(-1)).toBe('complete')
  })

  it('by a subscriber that comes after the end, leaves, or selects', async () => {
    expect(
      await alike((one) => {
        const counts: unknown[] = []
        const selection = one.actor as unknown as Actor<Chart>
        selection.select(({ context }) => context.count).subscribe((count) => counts.push(count))
        let heard = 0
        const leaving = one.actor.subscribe(() => (heard += 1))
        one.send('go')
        leaving.unsubscribe()
        one.send('count')
        one.send('end')
        return [counts, heard, watched(one)]
      }),
    ).toEqual([[1], 1, ['complete']])
  })

  it('by an observer that throws', async () => {
    const thrown: unknown[] = []
    vi.useFakeTimers()
    try {
      await alike((one) => {
        one.actor.subscribe(() => {
          throw new Error('an observer broke')
        })
        const heard = watched(one)
        one.send('go')
        try {
          vi.runAllTimers()
        } catch (fault) {
          thrown.push((fault as Error).message)
        }
        return heard.length
      })
    } finally {
      vi.useRealTimers()
    }
    expect(thrown).toEqual(Array.from({ length: 3 }, () => 'an observer broke'))
  })

  it('by waitFor and toPromise', async () => {
    expect(
      await alike(async ({ actor, send }) => {
        const busy = waitFor(actor, (snapshot: AnyMachineSnapshot) => snapshot.hasTag('at work'))
        const output = toPromise(actor as unknown as Actor<Chart>)
        for (const type of life) send(type)
        return [(await busy).value, await output, await toPromise(actor as unknown as Actor<Chart>)]
      }),
    ).toEqual(['busy', 'a 2', 'a 2'])
  })

  it('by waitFor and toPromise of one that is stopped', async () => {
    expect(
      await alike(async ({ actor, send, stop }) => {
        const never = waitFor(actor, () => false).catch((error: unknown) => (error as Error).message)
        const output = toPromise(actor as unknown as Actor<Chart>)
        send('go')
        stop()
        return [await never, await output, look(actor.getSnapshot())]
      }),
    ).toMatchObject([expect.stringContaining('terminated'), undefined, { status: 'stopped', value: 'busy' }])
  })

  it('by what it persists, from which a stock actor goes on', async () => {
    expect(
      await alike(({ actor, send }) => {
        send('go')
        send('count')
        const text = JSON.stringify((actor as unknown as Actor<Chart>).getPersistedSnapshot())
        const restored = createActor(chart, { input: { name: 'b' }, snapshot: JSON.parse(text) as never }).start()
        restored.send({ type: 'end' })
        return [JSON.parse(text), restored.getSnapshot().output]
      }),
    ).toMatchObject([{ status: 'active', value: 'busy', context: { name: 'a', count: 1 } }, 'a 1'])
  })

  it('by an inspector: who sent what to whom, and what became of it', async () => {
    const seen = await alike(({ inspected, send }) => {
      for (const type of life) send(type)
      // A row knows its place, not what it was made from; so restored actors of XState.
      return inspected.map((text) => text.replace(',"input":{"name":"a"}', ''))
    })
    expect(seen.some((text) => text.startsWith('["@xstate.event","thing","parent",{"type":"go"'))).toBe(true)
    expect(seen.filter((text) => text.includes('xstate.done.actor.thing')).length).toBeGreaterThan(0)
  })

  it('by an inspector when it is stopped, twice or after its end', async () => {
    const last = await alike(({ inspected, send, stop }) => {
      send('go')
      stop()
      stop()
      return inspected.at(-1)
    })
    expect(last).toContain('"status":"stopped"')
    const after = await alike(({ inspected, send, stop }) => {
      for (const type of life) send(type)
      const before = inspected.length
      stop()
      return inspected.length - before
    })
    expect(after).toBe(0)
  })

  it('by an inspector that comes late', async () => {
    for (const name of names) {
      const one = subject(name, { isInspected: false })
      one.send('go')
      const types: string[] = []
      one.parent.system.inspect((event: InspectionEvent) => types.push(event.type))
      one.send('count')
      expect(types.filter((type) => type === '@xstate.event' || type === '@xstate.snapshot')).toEqual([
        '@xstate.event',
        '@xstate.snapshot',
      ])
    }
  })
})

describe('the actor of a row', () => {
  const made = (['lean', 'stock'] as const).map((name) => [name] as const)

  it.each(made)('moves when its row does, and never by itself: what is sent to it is a request (%s)', (name) => {
    const { actor, sent, send } = subject(name)
    const { send: bound } = actor
    actor.send({ type: 'go' })
    bound({ type: 'count' })
    expect(sent).toEqual([
      ['a', { type: 'go' }],
      ['a', { type: 'count' }],
    ])
    expect(actor.getSnapshot()).toMatchObject({ value: 'idle' })
    send('go')
    expect(actor.getSnapshot()).toMatchObject({ value: 'busy' })
  })

  it.each(made)('shows the same snapshot until its row moves (%s)', (name) => {
    const { actor, send } = subject(name)
    send('go')
    const first: unknown = actor.getSnapshot()
    expect(actor.getSnapshot()).toBe(first)
    send('count')
    expect(actor.getSnapshot()).not.toBe(first)
  })

  it.each(made)('of a row that has ended has ended, too (%s)', async (name) => {
    const parent = createActor(parentChart).start()
    const Actors = name === 'lean' ? LeanActors : StockActors
    const actors = new Actors({ machine, parent, id: 'thing', onSend: () => {} })
    const { actor } = actors.show({ value: 'ended', context: { name: 'b', count: 7 } })
    expect(actor.getSnapshot()).toMatchObject({ status: 'done', value: 'ended', output: 'b 7' })
    await expect(toPromise(actor)).resolves.toBe('b 7')
  })

  it('is lean for a chart that only assigns, and stock for one that does more', () => {
    const parent = createActor(parentChart).start()
    const other = fastMachine(
      setup({ types: { events: {} as { readonly type: 'go' } } }).createMachine({ on: { go: { actions: () => {} } } }),
    )
    const onSend = (): void => {}
    expect(rowActors({ machine, parent, id: 'thing', onSend })).toBeInstanceOf(LeanActors)
    expect(rowActors({ machine: other, parent, id: 'thing', onSend })).toBeInstanceOf(StockActors)
  })

  it('is stock where XState has not got what is used of it', async () => {
    vi.resetModules()
    vi.doMock('xstate', async (original) => {
      const stock = await original<typeof xstate>()
      class Changed extends (stock.Actor as unknown as new (...values: unknown[]) => object) {}
      Object.assign(Changed.prototype, { _complete: undefined })
      return { ...stock, Actor: Changed }
    })
    try {
      const anew = await import('../../machines/row-actors.js')
      const parent = createActor(parentChart).start()
      const actors = anew.rowActors({ machine, parent, id: 'thing', onSend: () => {} })
      expect(actors).toBeInstanceOf(anew.StockActors)
    } finally {
      vi.doUnmock('xstate')
      vi.resetModules()
    }
  })
})
