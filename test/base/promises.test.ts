import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { abortable, createDeferred, silence } from '../../src/base/promises.js'
import { unhandledDuring } from '../support/unhandled.js'

const listenersOf = ({ signal }: AbortController): number => getEventListeners(signal, 'abort').length

describe('a deferred', () => {
  it('settles its promise from outside', async () => {
    const [kept, broken] = [createDeferred<number>(), createDeferred<number>()]
    kept.resolve(7)
    broken.reject(new Error('broken'))
    await expect(kept.promise).resolves.toBe(7)
    await expect(broken.promise).rejects.toThrow('broken')
  })

  it('that is rejected and ignored is no unhandled rejection; one of our own making would be', async () => {
    const unhandled = await unhandledDuring(() => {
      createDeferred().reject(new Error('ignored'))
      void silence(Promise.reject(new Error('silenced')))
      void Promise.reject(new Error('loud'))
    })
    expect(unhandled).toEqual([new Error('loud')])
  })
})

describe('abortable', () => {
  it('is the promise itself when there is no signal or it never aborts, and leaves no listener', async () => {
    const controller = new AbortController()
    await expect(abortable(Promise.resolve(7))).resolves.toBe(7)
    await expect(abortable(Promise.resolve(7), controller.signal)).resolves.toBe(7)
    await expect(abortable(Promise.reject(new Error('broken')), controller.signal)).rejects.toThrow('broken')
    expect(listenersOf(controller)).toBe(0)
  })

  it('rejects with the reason as soon as the signal aborts, and leaves no listener', async () => {
    const controller = new AbortController()
    const waiting = abortable(createDeferred().promise, controller.signal)
    expect(listenersOf(controller)).toBe(1)
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    expect(listenersOf(controller)).toBe(0)
    await expect(abortable(createDeferred().promise, controller.signal)).rejects.toThrow('enough')
  })

  it('takes care of a promise that breaks after the abort', async () => {
    const unhandled = await unhandledDuring(async () => {
      const [late, never] = [createDeferred(), createDeferred()]
      const controller = new AbortController()
      const waiting = abortable(
        late.promise.finally(() => {}),
        controller.signal,
      )
      controller.abort(new Error('enough'))
      await expect(waiting).rejects.toThrow('enough')
      await expect(
        abortable(
          never.promise.finally(() => {}),
          controller.signal,
        ),
      ).rejects.toThrow('enough')
      for (const { reject } of [late, never]) reject(new Error('too late'))
    })
    expect(unhandled).toEqual([])
  })
})
