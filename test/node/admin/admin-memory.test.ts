import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../src/base/json.js'
import { createMemoryJournal } from '../../../src/journal/memory-journal.js'
import { Lane } from '../../../src/lane/lane.js'
import {
  acceptCommit,
  adminMemoryRow,
  commitAccepted,
  emptyAdminMemory,
  latestMemory,
  remember,
  type AcceptedCommit,
  type AdminMemory,
  type AdminMemoryRows,
} from '../../../src/node/admin/admin-memory.js'
import type { Digest } from '../../../src/node/ids.js'
import { Catalogue, type CommandOf, type EventOf } from '../../../src/state/catalogue.js'
import { SequenceCounter } from '../../../src/state/sequence.js'
import { EventStream } from '../../../src/state/stream.js'
import { Table } from '../../../src/state/table.js'
import { node } from './support/operators.js'

type Tables = AdminMemoryRows & { readonly sequence: SequenceCounter }
type MemoryEvent = EventOf<typeof commitAccepted>
type MemoryCommand = CommandOf<typeof acceptCommit>

/** A stream that remembers nothing but commits. */
function createStream() {
  const tables: Tables = { sequence: new SequenceCounter(), adminMemory: new Table() }
  const stream = new EventStream<Tables, unknown, MemoryEvent, MemoryCommand>({
    name: 'node',
    catalogue: new Catalogue<Tables, unknown, MemoryEvent, MemoryCommand>({
      subject: 'node',
      events: [commitAccepted],
      commands: [acceptCommit],
      rows: [adminMemoryRow],
    }),
    tables,
    latest: undefined,
  })
  const accept = (accepted: AcceptedCommit): Promise<unknown> =>
    stream.transact((batch) => batch.take({ type: 'admin_commit_accept', ...accepted }))
  return { tables, stream, accept, memory: (): AdminMemory => latestMemory(tables) }
}

async function openOn(store = createMemoryJournal()) {
  const opened = createStream()
  const lane = await Lane.open({ store, streamFor: (name) => (name === 'node' ? opened.stream : undefined) })
  opened.stream.start(lane)
  return { ...opened, store, lane }
}

const digestOf = (value: number): Digest => value.toString(16).padStart(64, '0') as Digest

const commit = (value: number, issuedAtMs: number, more: Partial<AcceptedCommit> = {}): AcceptedCommit => ({
  digest: digestOf(value),
  issuedAtMs,
  acceptedAtMs: issuedAtMs,
  forgetBeforeMs: Math.max(0, issuedAtMs - 300),
  ...more,
})

const acceptedOf = fc
  .record({
    digest: fc.nat().map(digestOf),
    issuedAtMs: fc.nat(2000),
    acceptedAtMs: fc.nat(2000),
    target: fc.option(fc.constantFrom('cluster' as const, node(1), node(2))),
  })
  .map(({ target, ...accepted }): AcceptedCommit => {
    const cooldown = target === null ? {} : { cooldown: { target, expiresAtMs: accepted.acceptedAtMs + 300 } }
    return { ...accepted, forgetBeforeMs: Math.max(0, accepted.acceptedAtMs - 300), ...cooldown }
  })

describe('what administration remembers', () => {
  it('[N-311] is forgotten once it is no longer fresh, and its instant kept', () => {
    const both = remember(remember(emptyAdminMemory, commit(1, 1000)), commit(2, 1300))
    expect(both.seen.map(({ digest }) => digest)).toEqual([digestOf(1), digestOf(2)])
    expect(both.forgottenBeforeMs).toBe(0)
    const later = remember(both, commit(3, 1301))
    expect(later.seen.map(({ digest }) => digest)).toEqual([digestOf(2), digestOf(3)])
    expect(later.forgottenBeforeMs).toBe(1001)
  })

  it('[N-325] rests as long as its last commit says, and is dropped then', () => {
    const resting = commit(1, 1000, { cooldown: { target: node(2), expiresAtMs: 1300 } })
    const memory = remember(emptyAdminMemory, resting)
    expect(remember(memory, commit(2, 1299)).cooldowns).toEqual([{ target: node(2), expiresAtMs: 1300 }])
    expect(remember(memory, commit(2, 1300)).cooldowns).toEqual([])
    const again = commit(2, 1100, { cooldown: { target: node(2), expiresAtMs: 1400 } })
    expect(remember(memory, again).cooldowns).toEqual([{ target: node(2), expiresAtMs: 1400 }])
  })

  it('[N-312] holds every accepted commit, or refuses everything of its time', () => {
    fc.assert(
      fc.property(fc.array(acceptedOf, { maxLength: 30 }), (commits) => {
        const memory = commits.reduce(remember, emptyAdminMemory)
        for (const { digest, issuedAtMs } of commits) {
          const isKept = memory.seen.some((seen) => seen.digest === digest && seen.issuedAtMs === issuedAtMs)
          expect(isKept || issuedAtMs < memory.forgottenBeforeMs).toBe(true)
        }
      }),
    )
  })

  it('[N-313] counts for the next decision before it is durable, and is there after a restart', async () => {
    const { accept, memory, store, lane } = await openOn()
    const durable = accept(commit(1, 1000, { cooldown: { target: 'cluster', expiresAtMs: 1300 } }))
    expect(memory().seen.map(({ digest }) => digest)).toEqual([digestOf(1)])
    await durable
    await accept(commit(2, 1001))
    const before = memory()
    await lane.close()
    const reopened = await openOn(store)
    expect(reopened.memory()).toEqual(before)
    expect(before).toMatchObject({ cooldowns: [{ target: 'cluster', expiresAtMs: 1300 }] })
    await reopened.lane.close()
  })

  it('[N-313] that could not be written is forgotten', async () => {
    const { accept, memory, store, lane } = await openOn()
    store.failNext('write')
    await expect(accept(commit(1, 1000))).rejects.toMatchObject({ code: expect.any(String) })
    expect(memory()).toEqual(emptyAdminMemory)
    await lane.close()
  })

  it('[N-313] is the same after a replay and by a snapshot', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(acceptedOf, { maxLength: 12, selector: ({ digest }) => digest }),
        async (commits) => {
          const { accept, memory, store, stream, lane } = await openOn()
          await Promise.all(commits.map(accept))
          const rows = JSON.parse(JSON.stringify([...stream.capture()])) as JsonObject[]
          const restored = createStream()
          for (const row of rows) restored.stream.restore(row)
          expect(restored.memory()).toEqual(memory())
          await lane.close()
          const reopened = await openOn(store)
          expect(reopened.memory()).toEqual(memory())
          await reopened.lane.close()
        },
      ),
      { numRuns: 20 },
    )
  })

  it.each([
    [
      [
        { digest: digestOf(1), issued_at_ms: 1 },
        { digest: digestOf(1), issued_at_ms: 2 },
      ],
      [],
      'seen',
    ],
    [
      [],
      [
        { target: 'cluster', expires_at_ms: 1 },
        { target: 'cluster', expires_at_ms: 2 },
      ],
      'cooldowns',
    ],
  ])('[N-313] is refused when it contradicts itself: %j %j', (seen, cooldowns, field) => {
    const { stream } = createStream()
    const row = { row: 'admin_memory', version: 1, seen, forgotten_before_ms: 0, cooldowns }
    const captured = createStream()
    captured.tables.sequence.restore(1)
    const [first] = captured.stream.capture()
    if (first === undefined) throw new Error('a snapshot begins with its header')
    stream.restore(first)
    const restore = (): void => {
      stream.restore(row)
      // A row is put together when the next one begins.
      stream.restore(row)
    }
    expect(restore).toThrow(
      expect.objectContaining({ code: 'admin.stored_invalid', data: expect.objectContaining({ field }) }),
    )
  })
})
