import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FeedGapError } from '../../src/base/feed.js'
import { createDeferred } from '../../src/base/promises.js'
import {
  TurnBoundary,
  type BackgroundNotice,
  type CompletionAuthority,
  type Enrichment,
  type TurnBoundaryOptions,
} from '../../src/operations/index.js'
import { createRuntime, type Runtime } from '../../src/runtime.js'
import type { Session } from '../../src/operations/session.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { complete, run, start } from './support/background.js'

let runtime: Runtime
let session: Session

beforeEach(async () => {
  runtime = await createRuntime({ clock: new SimulatedClock() })
  session = runtime.session('agent')
})
afterEach(() => runtime.close({ policy: 'terminate' }))

const agentApplied = (): number => session.operations.completionCursor('agent_applied')

/** A boundary whose transcript holds the notices of the last edit, and a log of everything in order. */
function openBoundary(options: Partial<TurnBoundaryOptions> = {}) {
  const log: string[] = []
  const shown: { notices: readonly BackgroundNotice[] } = { notices: [] }
  const boundary = new TurnBoundary({
    operations: session.operations,
    edit: (notices) => {
      log.push(`edit ${notices.map(({ displayName }) => displayName).join(' ')} at ${agentApplied()}`)
      shown.notices = notices
    },
    onDelivered: ({ displayName }) => log.push(`event ${displayName} at ${agentApplied()}`),
    ...options,
  })
  return { boundary, log, shown }
}

describe('the turn boundary', () => {
  it('[O-76] shows what completed in one edit, then advances the cursor, then emits one event per notice', async () => {
    const { boundary, log } = openBoundary()
    await run(session, 'one')
    await run(session, 'two')
    await boundary.deliver()
    expect(log).toEqual(['edit one two at 0', 'event one at 2', 'event two at 2'])
    expect(agentApplied()).toBe(2)
  })

  it('[O-76] names each completion by its outcome, with its own id as the job when nothing is known of it', async () => {
    const { boundary, shown } = openBoundary()
    const completed = await run(session, 'one')
    const failed = await start(session, 'two')
    await session.operations.failOperation(failed, 'out of disk')
    const delivery = await boundary.deliver()
    expect(shown.notices).toEqual([
      { seq: 1, operationId: completed, displayName: 'one', status: 'completed', jobId: completed, detail: '' },
      { seq: 2, operationId: failed, displayName: 'two', status: 'failed', jobId: failed, detail: '' },
    ])
    expect(delivery).toEqual({ type: 'delivered', notices: shown.notices })
  })

  it('[O-76] passes over rows that wake nobody, without an edit', async () => {
    const { boundary, log } = openBoundary()
    await run(session, 'child', 'mob_member_child')
    expect(await boundary.deliver()).toEqual({ type: 'delivered', notices: [] })
    expect(log).toEqual([])
    expect(agentApplied()).toBe(1)
  })

  it('does nothing when nothing is new', async () => {
    const { boundary, log } = openBoundary()
    await run(session, 'one')
    await boundary.deliver()
    log.length = 0
    expect(await boundary.deliver()).toEqual({ type: 'delivered', notices: [] })
    expect(log).toEqual([])
  })

  it('[O-76] starts where the turn stood, not at the watermark', async () => {
    await run(session, 'seen')
    session.operations.advanceCompletionCursor('agent_applied', 1)
    await run(session, 'unseen')
    const { boundary, shown } = openBoundary()
    await boundary.deliver()
    expect(shown.notices.map(({ displayName }) => displayName)).toEqual(['unseen'])
  })

  it('leaves what completes during the edit to the next delivery', async () => {
    const names: string[][] = []
    const { boundary } = openBoundary({
      edit: async (notices) => {
        names.push(notices.map(({ displayName }) => displayName))
        if (names.length === 1) await run(session, 'two')
      },
    })
    await run(session, 'one')
    await boundary.deliver()
    expect(agentApplied()).toBe(1)
    await boundary.deliver()
    expect(names).toEqual([['one'], ['two']])
  })

  it('shares one delivery between calls that overlap', async () => {
    const edited = createDeferred<void>()
    let edits = 0
    const { boundary } = openBoundary({
      edit: () => {
        edits += 1
        return edited.promise
      },
    })
    await run(session, 'one')
    const deliveries = [boundary.deliver(), boundary.deliver()]
    edited.resolve()
    const [one, other] = await Promise.all(deliveries)
    expect(one).toBe(other)
    expect(edits).toBe(1)
  })
})

describe('enrichment', () => {
  it('[O-76] replaces the fallback where something is known of the completion', async () => {
    const answers: Record<string, Enrichment> = {
      one: { answer: 'found', jobId: 'job 17', detail: 'exit code 0' },
      two: { answer: 'missing' },
    }
    const { boundary, shown } = openBoundary({
      enrich: ({ displayName }) => answers[displayName] ?? { answer: 'missing' },
    })
    await run(session, 'one')
    const two = await run(session, 'two')
    await boundary.deliver()
    expect(shown.notices).toMatchObject([
      { jobId: 'job 17', detail: 'exit code 0' },
      { jobId: two, detail: '' },
    ])
  })

  it('[O-76] that is busy defers the whole batch, which comes complete later', async () => {
    let isBusy = true
    const { boundary, log } = openBoundary({
      enrich: async ({ displayName }) => (isBusy && displayName === 'two' ? { answer: 'busy' } : { answer: 'missing' }),
    })
    await run(session, 'one')
    const two = await run(session, 'two')
    expect(await boundary.deliver()).toEqual({ type: 'deferred', operationId: two })
    expect(log).toEqual([])
    expect(agentApplied()).toBe(0)
    isBusy = false
    await boundary.deliver()
    expect(log).toEqual(['edit one two at 0', 'event one at 2', 'event two at 2'])
  })

  it('that throws leaves everything as it was', async () => {
    const { boundary, log } = openBoundary({ enrich: () => Promise.reject(new Error('the job table is gone')) })
    await run(session, 'one')
    await expect(boundary.deliver()).rejects.toThrow('the job table is gone')
    expect(log).toEqual([])
    expect(agentApplied()).toBe(0)
  })
})

describe('a delivery that fails', () => {
  /** The registry with one answer replaced. */
  const registryWith = (over: Partial<CompletionAuthority>): CompletionAuthority => ({
    completionFeed: () => session.operations.completionFeed(),
    completionCursor: (consumer) => session.operations.completionCursor(consumer),
    advanceCompletionCursor: (consumer, cursor) => session.operations.advanceCompletionCursor(consumer, cursor),
    classifyCompletionWake: (id, kind) => session.operations.classifyCompletionWake(id, kind),
    ...over,
  })

  it('[O-76] in the classifier abandons the batch without advancing', async () => {
    const operations = registryWith({
      classifyCompletionWake: (id, kind) => {
        if (kind === 'mob_member_child') throw new Error('unknown kind')
        return session.operations.classifyCompletionWake(id, kind)
      },
    })
    const { boundary, log } = openBoundary({ operations })
    await run(session, 'one')
    await run(session, 'child', 'mob_member_child')
    await expect(boundary.deliver()).rejects.toThrow('unknown kind')
    expect(log).toEqual([])
    expect(agentApplied()).toBe(0)
  })

  it('[O-76] in the edit loses nothing: the batch comes again, with what completed since', async () => {
    const attempts: string[][] = []
    const { boundary, log } = openBoundary({
      edit: (notices) => {
        attempts.push(notices.map(({ displayName }) => displayName))
        if (attempts.length === 1) throw new Error('the transcript is locked')
      },
    })
    await run(session, 'one')
    await expect(boundary.deliver()).rejects.toThrow('the transcript is locked')
    expect(log).toEqual([])
    expect(agentApplied()).toBe(0)
    await run(session, 'two')
    await boundary.deliver()
    expect(attempts).toEqual([['one'], ['one', 'two']])
    expect(log).toEqual(['event one at 2', 'event two at 2'])
  })

  it('[O-76] in the advance emits no events, and edits the same notices again', async () => {
    let isRetired = true
    const operations = registryWith({
      advanceCompletionCursor: (consumer, cursor) => {
        if (isRetired) throw new Error('refused')
        return session.operations.advanceCompletionCursor(consumer, cursor)
      },
    })
    const { boundary, log } = openBoundary({ operations })
    await run(session, 'one')
    await expect(boundary.deliver()).rejects.toThrow('refused')
    expect(log).toEqual(['edit one at 0'])
    isRetired = false
    await boundary.deliver()
    expect(log).toEqual(['edit one at 0', 'edit one at 0', 'event one at 1'])
  })

  it('[O-75] a registry that cannot say where the turn stands fails the building', () => {
    const operations = registryWith({
      completionCursor: () => {
        throw new Error('poisoned')
      },
    })
    expect(() => openBoundary({ operations })).toThrow('poisoned')
  })
})

describe('a gap', () => {
  it('[O-72] is refused without moving the cursor, until somebody steps over it knowingly', async () => {
    const { boundary, log } = openBoundary()
    for (let index = 0; index < 1025; index += 1) await run(session, `job ${index}`)
    const error: unknown = await boundary.deliver().catch((cause: unknown) => cause)
    expect(error).toBeInstanceOf(FeedGapError)
    expect(error).toMatchObject({ data: { requestedAfterSeq: 0, droppedThrough: 1, watermark: 1025 } })
    expect(log).toEqual([])
    expect(agentApplied()).toBe(0)
    session.operations.advanceCompletionCursor('agent_applied', 1)
    expect(await boundary.deliver()).toMatchObject({ type: 'delivered', notices: { length: 1024 } })
    expect(agentApplied()).toBe(1025)
  })
})

describe('across a restart', () => {
  let dataDir: string

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'stateward-boundary-'))
  })
  afterEach(() => rm(dataDir, { recursive: true }))

  it('[O-74] a delivered batch is not delivered again, an undelivered one is', async () => {
    const names: string[][] = []
    const open = async () => {
      const durable = await createRuntime({ dataDir })
      const agent = durable.session('agent')
      const edit: TurnBoundaryOptions['edit'] = (notices) => {
        names.push(notices.map(({ displayName }) => displayName))
      }
      return { durable, agent, boundary: new TurnBoundary({ operations: agent.operations, edit }) }
    }
    const first = await open()
    await run(first.agent, 'one')
    await first.boundary.deliver()
    const two = await start(first.agent, 'two')
    await complete(first.agent, two)
    await first.durable.close()
    const second = await open()
    await second.boundary.deliver()
    await second.durable.close()
    expect(names).toEqual([['one'], ['two']])
  })
})
