import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type * as dispatcherModule from '../../../machines/dispatcher.js'
import { dispatcherMachine, type DispatcherEvent } from '../../../machines/dispatcher.js'
import { createDeferred } from '../../../src/base/promises.js'

beforeEach(() => void vi.resetModules())
afterEach(() => {
  vi.doUnmock('../../../machines/dispatcher.js')
  // Files of one process share their modules.
  vi.resetModules()
})

/** Two handlers at work in a room that closes; `lets` says for which events the guard of an idle dispatcher passes. */
async function drainTwo(lets?: DispatcherEvent['type']) {
  vi.doMock('../../../machines/dispatcher.js', async (original) => {
    const stock = await original<typeof dispatcherModule>()
    // Opened for one event only, because a dispatcher that has ended asks no more.
    const guards = {
      isIdle: ({ event }: { readonly event: DispatcherEvent }) =>
        event.type === lets || ('attempts' in event && event.attempts === 0),
    }
    return { ...stock, dispatcherMachine: stock.dispatcherMachine.provide({ guards }) }
  })
  const { openRoom } = await import('./support/room.js')
  const room = await openRoom()
  const ends = [createDeferred<string>(), createDeferred<string>()]
  const [first, second] = ends
  room.tasks.handle('wait', ({ text }) => ends[Number(text())]?.promise)
  for (const payload of ['0', '1']) await room.tasks.submit({ kind: 'wait', payload })
  await room.settle()
  let isClosed = false
  const closed = room.tasks.close(60_000).then(() => {
    isClosed = true
  })
  const seen: boolean[] = []
  const look = async (): Promise<void> => {
    await room.settle()
    seen.push(isClosed)
  }
  await look()
  first?.resolve('one')
  await look()
  second?.resolve('two')
  await look()
  await closed
  return seen
}

describe('the chart of the dispatcher is the only place that waits for attempts:', () => {
  it('isIdle does, from the call on and after the end of one of two', async () => {
    expect(await drainTwo()).toEqual([false, false, true])
  })

  it('where it lets the call pass, nothing else waits', async () => {
    expect(await drainTwo('drain')).toEqual([true, true, true])
  })

  it('where it lets an end pass, nothing else waits for the other', async () => {
    expect(await drainTwo('attempt_ended')).toEqual([false, true, true])
  })

  it('no guard is left that nobody looked at here', () => {
    // The first only says where a dispatcher begins: a paused engine promotes nothing.
    expect(Object.keys(dispatcherMachine.implementations.guards)).toEqual(['isEnginePaused', 'isIdle'])
  })
})
