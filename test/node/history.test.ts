import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import type { JsonObject } from '../../src/base/json.js'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import { Lane } from '../../src/lane/lane.js'
import { Chain, InFlight } from '../../src/node/chain.js'
import { NodeHistory, type ChainRetentions } from '../../src/node/history.js'

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

interface Row {
  readonly seq: number
  readonly chainPending: boolean
  readonly text: string
}

const row = (seq: number): Row => ({ seq, chainPending: true, text: `line ${seq}` })

it('[N-400, N-401] shows a record at once, and drops its flag once it is on disk', async () => {
  const directory = newDirectory()
  const { history, lane } = await open(directory)
  const chain = new Chain<Row>({
    name: 'log',
    capacity: 8,
    append: (record, atMs) => history.append('log', 'e1', atMs, record),
    inFlight: new InFlight(),
    onFailure: () => {},
  })
  chain.push(row(1), 10)
  chain.push(row(2), 10)
  expect(chain.records().map(({ chainPending }) => chainPending)).toEqual([true, true])
  expect(history.chain('log').watermark()).toBe(0)
  await lane.settled()
  expect(chain.records().map(({ chainPending }) => chainPending)).toEqual([false, false])
  await lane.close()
  const again = await open(directory)
  // In the order of the chain, which goes on counting; what is in a chain is durable.
  await again.history.append('log', 'e2', 20, { ...row(1) })
  expect(again.history.chain('log').rows()).toMatchObject([
    { seq: 1, epoch: 'e1', record: { seq: 1, chainPending: false, text: 'line 1' } },
    { seq: 2, epoch: 'e1', record: { seq: 2 } },
    { seq: 3, epoch: 'e2', record: { seq: 1 } },
  ])
  await again.lane.close()
})

it('[N-400] keeps the flag for good where the journal refuses, or where too many are under way', async () => {
  const refused: JsonObject[] = []
  const chain = new Chain<Row>({
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
  const first = await open(directory, retention)
  for (let atMs = 0; atMs < 5; atMs += 1) {
    void first.history.append('log', 'e', atMs, { atMs })
    void first.history.append('audit', 'e', atMs, { atMs })
  }
  await first.lane.settled()
  const kept = (history: NodeHistory) => history.chain('log').rows().map(({ atMs }) => atMs)
  expect(kept(first.history)).toEqual([2, 3, 4])
  await first.history.append('log', 'e', 104, {})
  expect(kept(first.history)).toEqual([4, 104])
  expect(first.history.chain('audit').size).toBe(5)
  await first.lane.compact()
  await first.lane.close()
  const again = await open(directory, retention)
  expect(kept(again.history)).toEqual([4, 104])
  expect(again.history.chain('log').gapAfter(0)).toMatchObject({ requestedAfterSeq: 0 })
  expect(again.history.chain('audit').gapAfter(0)).toBeUndefined()
  await again.lane.close()
})

it('[N-402] keeps the latest fact under each key, in the order of their latest change', async () => {
  const directory = newDirectory()
  const { history, lane } = await open(directory)
  const keep = (key: string, value: number) => history.change({ keep: { key, atMs: value, event: { value } } })
  await keep('a', 1)
  await keep('b', 2)
  await keep('a', 3)
  await history.change({ keep: { key: 'c', atMs: 4, event: { value: 4 } }, forget: ['b', 'unknown'] })
  const values = (of: NodeHistory) => of.facts().map(({ key, event }) => [key, event['value']])
  expect(values(history)).toEqual([
    ['a', 3],
    ['c', 4],
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
