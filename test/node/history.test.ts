import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import { Lane } from '../../src/lane/lane.js'
import { Chain, InFlight } from '../../src/node/chain.js'
import type { ChainRetentions } from '../../src/node/chain-entry.js'
import { NodeHistory } from '../../src/node/history.js'
import type { EpochId, NodeId } from '../../src/node/ids.js'
import type { LogRecord } from '../../src/node/records.js'

const directories: string[] = []
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'stateward-node-'))
  directories.push(directory)
  return join(directory, 'journal')
}

async function open(directory: string, retention: Partial<ChainRetentions> = {}) {
  const history = new NodeHistory({ retention })
  const lane = await Lane.open({
    store: createDirectoryJournal({ directory }),
    streamFor: (name) => (name === NodeHistory.streamName ? history : undefined),
  })
  history.start(lane)
  return { history, lane }
}

const [first, second] = ['1'.repeat(16), '2'.repeat(16)] as [EpochId, EpochId]

const row = (seq: number): LogRecord => ({
  seq,
  chainPending: true,
  atMs: 10,
  level: 'info',
  nodeId: 'a'.repeat(16) as NodeId,
  message: `line ${seq}`,
})

it('[N-400, N-401] shows a record at once, and drops its flag once it is on disk', async () => {
  const directory = newDirectory()
  const { history, lane } = await open(directory)
  const chain = new Chain<LogRecord>({
    name: 'log',
    capacity: 8,
    append: (record, atMs) => history.append('log', first, atMs, record),
    inFlight: new InFlight(),
    onFailure: () => {},
  })
  chain.push(row(1), 10)
  chain.push(row(2), 10)
  expect(chain.records().map(({ chainPending }) => chainPending)).toEqual([true, true])
  expect(history.chains.log.watermark()).toBe(0)
  await lane.settled()
  expect(chain.records().map(({ chainPending }) => chainPending)).toEqual([false, false])
  await lane.close()
  const again = await open(directory)
  // In the order of the chain, which goes on counting; what is in a chain is durable.
  await again.history.append('log', second, 20, row(1))
  expect(again.history.chains.log.rows()).toMatchObject([
    { seq: 1, epoch: first, record: { seq: 1, chainPending: false, message: 'line 1' } },
    { seq: 2, epoch: first, record: { seq: 2 } },
    { seq: 3, epoch: second, record: { seq: 1 } },
  ])
  await again.lane.close()
})

it('[N-400] keeps the flag for good where the journal refuses, or where too many are under way', async () => {
  const refused: LogRecord[] = []
  const chain = new Chain<LogRecord>({
    name: 'audit',
    capacity: 8,
    append: (record) => {
      refused.push(record)
      return Promise.reject(new Error('the disk is full'))
    },
    inFlight: new InFlight(2),
    onFailure: () => {},
  })
  for (const seq of [1, 2, 3]) chain.push(row(seq), 10)
  await new Promise(setImmediate)
  expect(chain.records().map(({ chainPending }) => chainPending)).toEqual([true, true, true])
  expect({ lost: chain.lost, failures: chain.failures, handed: refused.length }).toEqual({
    lost: 1,
    failures: 2,
    handed: 2,
  })
  chain.push(row(4), 10)
  expect(refused.length).toBe(3)
})

it('[N-403] keeps as much of the log as it is told to, by number and by age, and the audit whole', async () => {
  const directory = newDirectory()
  const retention = { log: { records: 3, ageMs: 100 } }
  const begun = await open(directory, retention)
  for (let atMs = 0; atMs < 5; atMs += 1) {
    void begun.history.append('log', first, atMs, row(atMs + 1))
    void begun.history.append('audit', first, atMs, {
      seq: atMs + 1,
      chainPending: true,
      committedAtMs: atMs,
      event: { type: 'thaw_cluster' },
      operatorIds: [],
      outcome: { status: 'rejected', kind: 'unsigned', message: 'not signed' },
    })
  }
  await begun.lane.settled()
  const kept = (history: NodeHistory) => history.chains.log.rows().map(({ atMs }) => atMs)
  expect(kept(begun.history)).toEqual([2, 3, 4])
  await begun.history.append('log', first, 104, row(6))
  expect(kept(begun.history)).toEqual([4, 104])
  expect(begun.history.chains.audit.size).toBe(5)
  await begun.lane.compact()
  await begun.lane.close()
  const again = await open(directory, retention)
  expect(kept(again.history)).toEqual([4, 104])
  expect(again.history.chains.log.gapAfter(0)).toMatchObject({ requestedAfterSeq: 0 })
  expect(again.history.chains.audit.gapAfter(0)).toBeUndefined()
  await again.lane.close()
})

it('[N-402] keeps the latest checkpoint under each key, in the order of their latest change', async () => {
  const directory = newDirectory()
  const { history, lane } = await open(directory)
  const keep = (key: string, untilMs: number) =>
    history.change({ keep: [{ key, content: { type: 'freeze', untilMs } }] })
  await keep('a', 1)
  await keep('b', 2)
  await keep('a', 3)
  await history.change({
    keep: [{ key: 'c', content: { type: 'tasks_paused' } }],
    forget: ['b', 'unknown'],
  })
  const values = (of: NodeHistory) => of.checkpoints().map(({ key, content }) => [key, content])
  expect(values(history)).toEqual([
    ['a', { type: 'freeze', untilMs: 3 }],
    ['c', { type: 'tasks_paused' }],
  ])
  await lane.close()
  const again = await open(directory)
  expect(values(again.history)).toEqual(values(history))
  await again.lane.compact()
  await again.lane.close()
  const third = await open(directory)
  expect(values(third.history)).toEqual(values(history))
  await third.lane.close()
})
