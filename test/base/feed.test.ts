import { getEventListeners, once } from 'node:events'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { filter, firstValueFrom, map, of, switchMap, take } from 'rxjs'
import { describe, expect, it } from 'vitest'
import { SequencedFeed, type Sequenced } from '../../src/base/feed.js'
import { createRecordingLogger } from '../runtime/support/log.js'
import { unhandledDuring } from '../support/unhandled.js'

const row = (seq: number): Sequenced => ({ seq })

function feedOf(capacity: number, ...sequences: number[]): SequencedFeed<Sequenced> {
  const feed = new SequencedFeed<Sequenced>(capacity)
  for (const seq of sequences) feed.push(row(seq))
  return feed
}

const sequencesOf = (rows: readonly Sequenced[]): number[] => rows.map(({ seq }) => seq)
const listenersOf = ({ signal }: AbortController): number => getEventListeners(signal, 'abort').length

/** One turn of the event loop: every microtask has run. */
const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve)
  })

describe('reading a feed', () => {
  it('[O-65] gives the rows after a cursor with the watermark of the same instant', () => {
    const feed = feedOf(10, 1, 2, 5)
    expect(feed.since(0)).toEqual({ entries: [row(1), row(2), row(5)], watermark: 5, droppedThrough: 0 })
    expect(feed.since(2).entries).toEqual([row(5)])
    expect(feed.since(3).entries).toEqual([row(5)])
    expect(feed.since(5)).toEqual({ entries: [], watermark: 5, droppedThrough: 0 })
    expect(feed.since(99).entries).toEqual([])
  })

  it('is empty before the first row', () => {
    expect(feedOf(3).since(0)).toEqual({ entries: [], watermark: 0, droppedThrough: 0 })
  })

  it('finds a retained row by its sequence only', () => {
    const feed = feedOf(2, 1, 3, 4)
    expect([feed.find(1), feed.find(2), feed.find(3), feed.find(4), feed.find(5)]).toEqual([
      undefined,
      undefined,
      row(3),
      row(4),
      undefined,
    ])
  })

  it('counts retained rows from the newest', () => {
    const feed = feedOf(2, 1, 3, 4)
    expect([1, 2, 3].map((nth) => feed.fromEnd(nth))).toEqual([row(4), row(3), undefined])
    expect(feedOf(2).fromEnd(1)).toBeUndefined()
  })

  it.each([0, 3, 2])('refuses to take sequence %i after 3', (seq) => {
    const feed = feedOf(5, 3)
    expect(() => feed.push(row(seq))).toThrow(
      expect.objectContaining({ code: 'feed_sequence', data: { seq, watermark: 3 } }),
    )
    expect(feed.rows()).toEqual([row(3)])
  })
})

describe('a cursor of another feed, beyond the last row', () => {
  const told = { code: 'feed_gap', data: { requestedAfterSeq: 650, droppedThrough: 0, watermark: 2 } }

  it('is told by gapAfter, while reading may run ahead (O-73)', async () => {
    const feed = feedOf(5, 1, 2)
    expect(feed.gapAfter(650)).toEqual(told.data)
    expect(feed.gapAfter(2)).toBeUndefined()
    expect(feed.since(650).entries).toEqual([])
    const advance = feed.waitForAdvance(3)
    feed.push(row(3))
    feed.push(row(4))
    expect(await advance).toBe(4)
  })

  it('is told by entries and by the stream, before anything is awaited for', async () => {
    const feed = feedOf(5, 1, 2)
    await expect(feed.entries({ after: 650 }).next()).rejects.toMatchObject(told)
    const errors: unknown[] = []
    feed.observe({ after: 650 }).subscribe({ error: (error) => errors.push(error) })
    expect(errors).toEqual([expect.objectContaining(told)])
    expect((errors[0] as Error).message).toBe(
      'cursor 650 is beyond the last row 2, it belongs to another feed: resume from a state you trust',
    )
  })
})

describe('[O-69] a retention gap', () => {
  it('[O-69] is reported for a cursor before the last dropped row, not for one at it', () => {
    const feed = feedOf(1, 1, 2)
    expect(feed.gapAfter(0)).toEqual({ requestedAfterSeq: 0, droppedThrough: 1, watermark: 2 })
    expect(feed.gapAfter(1)).toBeUndefined()
  })

  it('[O-69] of a restored carrier is the same', () => {
    const feed = new SequencedFeed<Sequenced>(10)
    feed.restoreRetention(4, 4)
    expect(feed.since(0)).toEqual({ entries: [], watermark: 4, droppedThrough: 4 })
    expect(() => feed.push(row(4))).toThrow(expect.objectContaining({ code: 'feed_sequence' }))
    feed.push(row(9))
    expect(feed.gapAfter(3)).toEqual({ requestedAfterSeq: 3, droppedThrough: 4, watermark: 9 })
    expect([feed.gapAfter(4), feed.gapAfter(8)]).toEqual([undefined, undefined])
  })

  it('[O-70] of sparse rows is where the last dropped row stood', () => {
    const feed = feedOf(2, 2, 4, 5)
    expect([feed.droppedThrough, feed.droppedCount, sequencesOf(feed.rows())]).toEqual([2, 1, [4, 5]])
    expect([feed.gapAfter(1)?.droppedThrough, feed.gapAfter(2)]).toEqual([2, undefined])
  })

  it('hands the dropped row to the owner of the feed', () => {
    const feed = feedOf(2, 1, 2)
    expect(feed.push(row(3))).toEqual(row(1))
    expect(feedOf(2, 1).push(row(2))).toBeUndefined()
  })
})

describe('any history of pushes', () => {
  it('retains the newest rows up to the capacity and finds them as a plain list would', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 60 }),
        fc.nat(120),
        (capacity, steps, cursor) => {
          const feed = new SequencedFeed<Sequenced>(capacity)
          const all: number[] = []
          for (const step of steps) {
            all.push((all.at(-1) ?? 0) + step)
            feed.push(row(all.at(-1) ?? 0))
          }
          const retained = all.slice(-capacity)
          const dropped = all.slice(0, all.length - retained.length)
          expect(sequencesOf(feed.rows())).toEqual(retained)
          expect(sequencesOf(feed.since(cursor).entries)).toEqual(retained.filter((seq) => seq > cursor))
          expect([feed.watermark(), feed.droppedThrough, feed.droppedCount, feed.size]).toEqual([
            all.at(-1) ?? 0,
            dropped.at(-1) ?? 0,
            dropped.length,
            retained.length,
          ])
          expect(feed.find(cursor)?.seq).toBe(retained.find((seq) => seq === cursor))
        },
      ),
    )
  })
})

describe('waitForAdvance', () => {
  it('resolves at once when the watermark is past the cursor', async () => {
    await expect(feedOf(5, 1, 4).waitForAdvance(3)).resolves.toBe(4)
  })

  it('releases every waiter that one push has passed, and no other', async () => {
    const feed = feedOf(5, 1)
    const ends: (number | undefined)[] = [undefined, undefined, undefined]
    for (const [index, cursor] of [1, 1, 2].entries()) {
      void feed.waitForAdvance(cursor).then((watermark) => (ends[index] = watermark))
    }
    feed.push(row(2))
    await turn()
    expect(ends).toEqual([2, 2, undefined])
    feed.push(row(3))
    await turn()
    expect(ends).toEqual([2, 2, 3])
  })

  it('wakes no waiter inside the push', () => {
    const feed = feedOf(5)
    let woken = false
    void feed.waitForAdvance(0).then(() => (woken = true))
    feed.push(row(1))
    expect(woken).toBe(false)
  })

  it('[O-66] loses no wake-up between a read and the next wait, whatever the interleaving', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 40 }), async (pauses) => {
        const feed = new SequencedFeed<Sequenced>(100)
        const seen: number[] = []
        const reader = (async () => {
          let cursor = 0
          while (seen.length < pauses.length) {
            cursor = await feed.waitForAdvance(cursor)
            seen.push(...sequencesOf(feed.since(seen.at(-1) ?? 0).entries))
          }
        })()
        for (const [index, pause] of pauses.entries()) {
          for (let microtask = 0; microtask < pause; microtask++) await Promise.resolve()
          feed.push(row(index + 1))
        }
        await reader
        expect(seen).toEqual(pauses.map((_, index) => index + 1))
      }),
      { numRuns: 60 },
    )
  })

  it('rejects with the reason of its signal, and leaves no listener either way', async () => {
    const feed = feedOf(5)
    const controller = new AbortController()
    const [resolved, rejected] = [feed.waitForAdvance(0, controller), feed.waitForAdvance(1, controller)]
    expect(listenersOf(controller)).toBe(1)
    feed.push(row(1))
    await expect(resolved).resolves.toBe(1)
    expect(listenersOf(controller)).toBe(1)
    controller.abort(new Error('enough'))
    await expect(rejected).rejects.toThrow('enough')
    expect(listenersOf(controller)).toBe(0)
    await expect(feed.waitForAdvance(0, controller)).rejects.toThrow('enough')
  })

  it('never becomes an unhandled rejection when nobody awaits it', async () => {
    const feed = feedOf(5)
    const unhandled = await unhandledDuring(() => {
      const controller = new AbortController()
      void feed.waitForAdvance(0, controller)
      controller.abort(new Error('enough'))
      void feed.waitForAdvance(0, controller)
    })
    expect(unhandled).toEqual([])
  })
})

describe('closing a feed', () => {
  it('rejects whoever waits for an advance, and whoever comes to wait later', async () => {
    const feed = feedOf(5, 1)
    const controller = new AbortController()
    const waiting = feed.waitForAdvance(1, controller)
    feed.close()
    await expect(waiting).rejects.toMatchObject({ code: 'channel_closed', data: { cursor: 1, watermark: 1 } })
    await expect(feed.waitForAdvance(7)).rejects.toMatchObject({ code: 'channel_closed' })
    // What is there already is still told.
    await expect(feed.waitForAdvance(0)).resolves.toBe(1)
    expect(listenersOf(controller)).toBe(0)
  })

  it('rejects nobody who does not listen', async () => {
    const feed = feedOf(5, 1)
    const unhandled = await unhandledDuring(() => {
      void feed.waitForAdvance(1)
      feed.close()
      void feed.waitForAdvance(1)
    })
    expect(unhandled).toEqual([])
  })
})

describe('entries', () => {
  it('gives what is there, then what comes, and ends when the feed closes', async () => {
    const feed = feedOf(10, 1, 2)
    const seen: number[] = []
    const reader = (async () => {
      for await (const { seq } of feed.entries({ after: 1 })) {
        seen.push(seq)
        if (seq === 2) feed.push(row(3))
      }
    })()
    await turn()
    expect(seen).toEqual([2, 3])
    feed.push(row(4))
    feed.push(row(6))
    feed.close()
    await reader
    expect(seen).toEqual([2, 3, 4, 6])
  })

  it('throws feed_gap instead of skipping rows it never saw', async () => {
    const feed = feedOf(1, 1, 2)
    await expect(feed.entries().next()).rejects.toMatchObject({
      code: 'feed_gap',
      data: { requestedAfterSeq: 0, droppedThrough: 1, watermark: 2 },
    })
    await expect(feed.entries({ after: 1 }).next()).resolves.toEqual({ done: false, value: row(2) })
  })

  it('announces a gap that opens while the consumer is slow, after the rows it had read', async () => {
    const feed = feedOf(2, 1, 2)
    const iterator = feed.entries()
    expect((await iterator.next()).value).toEqual(row(1))
    for (const seq of [3, 4, 5]) feed.push(row(seq))
    expect((await iterator.next()).value).toEqual(row(2))
    await expect(iterator.next()).rejects.toMatchObject({ code: 'feed_gap', data: { requestedAfterSeq: 2 } })
  })

  it('stops with the reason of its signal: at the start, while waiting, and between rows', async () => {
    const feed = feedOf(5, 1, 2)
    const controller = new AbortController()
    const waiting = feed.entries({ after: 2, signal: controller.signal }).next()
    const between = feed.entries({ signal: controller.signal })
    await between.next()
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await expect(between.next()).rejects.toThrow('enough')
    await expect(feed.entries({ signal: controller.signal }).next()).rejects.toThrow('enough')
    expect(listenersOf(controller)).toBe(0)
  })

  it('is left at once while it waits for a row; what was asked for is still answered', async () => {
    const feed = feedOf(5)
    const controller = new AbortController()
    const iterator = feed.entries({ signal: controller.signal })
    const asked = iterator.next()
    await turn()
    expect(await iterator.return?.('left')).toEqual({ done: true, value: 'left' })
    feed.push(row(1))
    feed.push(row(2))
    expect(await asked).toEqual({ done: false, value: row(1) })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
    expect(listenersOf(controller)).toBe(0)
  })

  it.each(['return', 'throw'] as const)('is left at once by %s when more was asked for than is there', async (how) => {
    const feed = feedOf(5, 1)
    const iterator = feed.entries()
    const asked = [iterator.next(), iterator.next()]
    const left = iterator[how]?.('left').catch((reason: unknown) => reason)
    expect(await left).toEqual(how === 'return' ? { done: true, value: 'left' } : 'left')
    feed.push(row(2))
    expect(await Promise.all(asked)).toEqual([
      { done: false, value: row(1) },
      { done: false, value: row(2) },
    ])
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  })

  it('is left at once with an error, too', async () => {
    const feed = feedOf(5, 1)
    const waiting = feed.entries({ after: 1 })
    const asked = waiting.next()
    await turn()
    await expect(waiting.throw?.(new Error('enough'))).rejects.toThrow('enough')
    feed.close()
    expect(await asked).toEqual({ done: true, value: undefined })
    const between = feed.entries()
    await between.next()
    await expect(between.throw?.(new Error('enough'))).rejects.toThrow('enough')
    expect(await between.next()).toEqual({ done: true, value: undefined })
  })

  it.each([undefined, new Error('enough')])('lets a stream made of it close while it waits', async (fault) => {
    const feed = feedOf(5, 1)
    const stream = Readable.from(feed.entries())
    await once(stream, 'data')
    await turn()
    const closed = once(stream, 'close').catch((reason: unknown) => reason)
    stream.destroy(fault)
    expect(await closed).toEqual(fault ?? [])
  })

  it('leaves no listener when the consumer breaks off', async () => {
    const feed = feedOf(5, 1, 2)
    const controller = new AbortController()
    for await (const { seq } of feed.entries({ signal: controller.signal })) {
      expect(listenersOf(controller)).toBe(1)
      if (seq === 1) break
    }
    expect(listenersOf(controller)).toBe(0)
  })
})

describe('observe', () => {
  it('gives what is there, then what comes, and completes when the feed closes', async () => {
    const feed = feedOf(10, 1, 2)
    const seen: unknown[] = []
    feed.observe({ after: 1 }).subscribe({ next: ({ seq }) => seen.push(seq), complete: () => seen.push('complete') })
    expect(seen).toEqual([2])
    feed.push(row(3))
    expect(seen).toEqual([2])
    await turn()
    feed.push(row(4))
    feed.close()
    await turn()
    expect(seen).toEqual([2, 3, 4, 'complete'])
  })

  it('errors with feed_gap at the start and when it falls behind', async () => {
    const errors: unknown[] = []
    feedOf(1, 1, 2)
      .observe()
      .subscribe({ error: (error) => errors.push(error) })
    const feed = feedOf(1)
    feed.observe().subscribe({ error: (error) => errors.push(error) })
    feed.push(row(1))
    feed.push(row(2))
    await turn()
    expect(errors).toEqual([
      expect.objectContaining({ code: 'feed_gap', data: { requestedAfterSeq: 0, droppedThrough: 1, watermark: 2 } }),
      expect.objectContaining({ code: 'feed_gap', data: { requestedAfterSeq: 0, droppedThrough: 1, watermark: 2 } }),
    ])
  })

  it('takes rows pushed by its own subscriber', async () => {
    const feed = feedOf(10, 1)
    const seen: number[] = []
    feed.observe().subscribe(({ seq }) => {
      seen.push(seq)
      if (seq < 4) feed.push(row(seq + 1))
    })
    await turn()
    expect(seen).toEqual([1, 2, 3, 4])
  })

  it('errors with the reason of its signal, and leaves no listener behind however it ends', async () => {
    const feed = feedOf(10, 1)
    const controller = new AbortController()
    const errors: unknown[] = []
    const options = { signal: controller.signal }
    feed.observe(options).subscribe().unsubscribe()
    expect(listenersOf(controller)).toBe(0)
    feed.observe(options).subscribe({ error: (error: Error) => errors.push(error.message) })
    expect(listenersOf(controller)).toBe(1)
    controller.abort(new Error('enough'))
    feed.observe(options).subscribe({ error: (error: Error) => errors.push(error.message) })
    expect([errors, listenersOf(controller)]).toEqual([['enough', 'enough'], 0])
    feed.push(row(2))
    await turn()
    expect(errors).toHaveLength(2)
  })
})

describe('a consumer of observe() that breaks', () => {
  const broken = (): never => {
    throw new Error('the consumer broke')
  }

  it('is told to the logger once and ends neither the process nor a stream, behind operators too', async () => {
    const logger = createRecordingLogger()
    const feed = new SequencedFeed<Sequenced>(5, logger)
    const seen: number[] = []
    const direct = feed.observe().subscribe(broken)
    feed
      .observe()
      .pipe(
        map(({ seq }) => seq),
        filter((seq) => seq > 0),
      )
      .subscribe({ next: broken, complete: broken })
    feed.observe().pipe(map(broken)).subscribe()
    feed.observe().subscribe(({ seq }) => seen.push(seq))
    feed.push(row(1))
    await Promise.resolve()
    feed.push(row(2))
    await Promise.resolve()
    feed.close()
    await new Promise((resolve) => {
      setTimeout(resolve)
    })
    expect(seen).toEqual([1, 2])
    expect(direct.closed).toBe(true)
    expect(logger.lines.map(({ message, fields }) => [message, fields])).toMatchObject([
      ['a consumer of a stream threw', { error: 'the consumer broke' }],
      ['a consumer of a stream threw', { error: 'the consumer broke' }],
      ['a stream ended with an error that no consumer handles', { error: 'the consumer broke' }],
    ])
  })

  it('leaves a gap that nobody handles in the log: loss is told, and ends no process', async () => {
    const logger = createRecordingLogger()
    const feed = new SequencedFeed<Sequenced>(1, logger)
    for (const seq of [1, 2, 3]) feed.push(row(seq))
    feed.observe().subscribe(() => {})
    await logger.written(1)
    expect(logger.lines).toMatchObject([{ level: 'error', fields: { error: expect.stringContaining('no longer') } }])
  })

  it('hears everything again as an ordinary observer: methods keep their object, operators their subscriber', async () => {
    const feed = new SequencedFeed<Sequenced>(5)
    class Collector {
      readonly seen: number[] = []
      next({ seq }: Sequenced): void {
        this.seen.push(seq)
      }
    }
    const collector = new Collector()
    feed.observe().subscribe(collector)
    const first = firstValueFrom(
      feed.observe().pipe(
        switchMap((one) => of(one, one)),
        take(1),
      ),
    )
    feed.push(row(1))
    expect(await first).toEqual(row(1))
    expect(collector.seen).toEqual([1])
  })
})
