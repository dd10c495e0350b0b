import { describe, expect, it } from 'vitest'
import { ChangeHub } from '../../src/base/hub.js'

/** What a promise has ended with by now. */
async function by(promise: Promise<unknown>): Promise<unknown> {
  await new Promise(setImmediate)
  return Promise.race([promise, Promise.resolve('pending')])
}

describe('a change hub', () => {
  it('tells whoever listens to all of it, until that is disposed', () => {
    const hub = new ChangeHub<string>()
    const heard: string[] = []
    const listening = hub.listen((key) => void heard.push(key))
    hub.notify('a')
    hub.wake('a')
    hub.wakeAll()
    hub.notify('b')
    listening[Symbol.dispose]()
    hub.notify('c')
    expect(heard).toEqual(['a', 'b'])
  })

  it('loses no change between a read and the wait that follows it', async () => {
    const hub = new ChangeHub<string>()
    using subscription = hub.subscribe('a')
    hub.notify('a')
    expect(subscription.hasChanged).toBe(true)
    expect(await by(subscription.changed())).toBe('changed')
    expect(subscription.hasChanged).toBe(false)
    expect(await by(subscription.changed())).toBe('pending')
  })

  it('wakes those who wait for a key, or all', async () => {
    const hub = new ChangeHub<string>()
    using one = hub.subscribe('a')
    using other = hub.subscribe('b')
    hub.wake('a')
    hub.wake('nobody waits for it')
    expect([one.hasChanged, other.hasChanged]).toEqual([true, false])
    hub.wakeAll()
    expect(await by(other.changed())).toBe('changed')
  })

  it('ends a wait with the next change of its own key only', async () => {
    const hub = new ChangeHub<string>()
    using subscription = hub.subscribe('a')
    const wait = subscription.changed()
    hub.notify('b')
    expect(await by(wait)).toBe('pending')
    hub.notify('a')
    expect(await by(wait)).toBe('changed')
  })

  it('counts several changes between two waits as one', async () => {
    const hub = new ChangeHub<string>()
    using subscription = hub.subscribe('a')
    hub.notify('a')
    hub.notify('a')
    expect(await by(subscription.changed())).toBe('changed')
    expect(await by(subscription.changed())).toBe('pending')
  })

  it('runs no waiter inside notify', async () => {
    const hub = new ChangeHub<string>()
    using subscription = hub.subscribe('a')
    let isTold = false
    void subscription.changed().then(() => (isTold = true))
    hub.notify('a')
    expect(isTold).toBe(false)
    await new Promise(setImmediate)
    expect(isTold).toBe(true)
  })

  it('remembers no key that nobody follows', () => {
    const hub = new ChangeHub<string>()
    hub.notify('a')
    expect(hub.size).toBe(0)
    const [one, other] = [hub.subscribe('a'), hub.subscribe('a')]
    one[Symbol.dispose]()
    one[Symbol.dispose]()
    expect(hub.size).toBe(1)
    other[Symbol.dispose]()
    expect(hub.size).toBe(0)
  })

  it('says so when it will tick no more', async () => {
    const hub = new ChangeHub<string>()
    const [waiting, idle] = [hub.subscribe('a'), hub.subscribe('b')]
    const wait = waiting.changed()
    hub.close()
    expect(await by(wait)).toBe('closed')
    expect(await by(idle.changed())).toBe('closed')
    expect(await by(hub.subscribe('c').changed())).toBe('closed')
    expect(hub.size).toBe(0)
  })

  it('does not keep somebody waiting who has left', async () => {
    const hub = new ChangeHub<string>()
    const leaving = hub.subscribe('a')
    leaving[Symbol.dispose]()
    expect(await by(leaving.changed())).toBe('closed')
  })
})
