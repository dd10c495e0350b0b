/**
 * Durable appends: how many facts of 200 bytes per second, and how long one takes, with 1 to 4,096 submitters that
 * each wait for one fact before they send the next. Beside the journal: the raw floor of the disk, LMDB and SQLite,
 * all of them synced before a fact counts.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createDirectoryJournal } from '../src/journal/directory-journal.js'
import { elapsed, interleave, type Bench, type Cell } from './harness.js'
import {
  factOf,
  inTemporaryDirectory,
  openJournal,
  openLibsqlStore,
  openLmdbStore,
  RawFloor,
  type Contender,
} from './journal/contenders.js'
import { median, percentile } from './statistics.js'

interface Sample {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

const names = ['floor', 'encodingFloor', 'journal', 'lmdb', 'libsql'] as const
type Name = (typeof names)[number]

/** Facts per round at each number of submitters: rounds of comparable length. */
const factsPerRound: Readonly<Record<number, number>> = { 1: 2_000, 16: 16_000, 256: 102_400, 4096: 163_840 }

async function measure(contender: Contender, submitters: number, facts: number): Promise<Sample> {
  const latencies = new Float64Array(facts)
  let next = 0
  const submit = async (): Promise<void> => {
    while (next < facts) {
      const number = next
      next += 1
      const start = performance.now()
      await contender.append(factOf(number))
      latencies[number] = performance.now() - start
    }
  }
  const milliseconds = await elapsed(() => Promise.all(Array.from({ length: submitters }, submit)))
  return summarize(facts, milliseconds, latencies)
}

/**
 * The same bytes in the same batches, one batch at a time. With `encodes` every batch is made from facts first: what
 * one thread can do at best that has to encode what it writes.
 */
async function measureFloor(floor: RawFloor, submitters: number, facts: number, encodes: boolean): Promise<Sample> {
  const encode = (): Buffer =>
    Buffer.from(Array.from({ length: submitters }, (_, number) => JSON.stringify(factOf(number))).join(','))
  const batch = encode()
  const latencies = new Float64Array(Math.ceil(facts / submitters))
  const milliseconds = await elapsed(async () => {
    for (let round = 0; round < latencies.length; round += 1) {
      const start = performance.now()
      await floor.append(encodes ? encode() : batch)
      latencies[round] = performance.now() - start
    }
  })
  return summarize(latencies.length * submitters, milliseconds, latencies)
}

function summarize(facts: number, milliseconds: number, latencies: Float64Array): Sample {
  const sorted = [...latencies]
  return { perSecond: (facts / milliseconds) * 1000, p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) }
}

async function compare(directory: string, submitters: number, rounds: number): Promise<Record<Name, Sample>> {
  const facts = factsPerRound[submitters] ?? 0
  const folder = async (name: string): Promise<string> => {
    const path = join(directory, `${name}-${submitters}`)
    await mkdir(path)
    return path
  }
  const floor = new RawFloor(await folder('floor'))
  const journal = await openJournal(await folder('journal'))
  const lmdb = await openLmdbStore(await folder('lmdb'))
  const libsql = await openLibsqlStore(await folder('libsql'))
  try {
    const samples = await interleave<Name, Sample>(
      {
        floor: () => measureFloor(floor, submitters, facts, false),
        encodingFloor: () => measureFloor(floor, submitters, facts, true),
        journal: () => measure(journal, submitters, facts),
        lmdb: () => measure(lmdb, submitters, facts),
        libsql: () => measure(libsql, submitters, facts),
      },
      { rounds },
    )
    const middle = (of: readonly Sample[], value: keyof Sample): number => median(of.map((sample) => sample[value]))
    const summary = names.map((name): [Name, Sample] => {
      const of = samples[name]
      return [name, { perSecond: middle(of, 'perSecond'), p50: middle(of, 'p50'), p99: middle(of, 'p99') }]
    })
    return Object.fromEntries(summary) as Record<Name, Sample>
  } finally {
    floor.close()
    await journal.close()
    await lmdb.close()
    await libsql.close()
  }
}

/** Records per second when a journal written by 256 submitters is opened, verified and parsed. */
async function measureRecovery(directory: string, facts: number, rounds: number): Promise<number> {
  const contender = await openJournal(directory)
  await measure(contender, 256, facts)
  await contender.close()
  const store = createDirectoryJournal({ directory })
  const times: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    let count = 0
    const { journal, milliseconds } = await (async () => {
      const start = performance.now()
      const opened = await store.open()
      for (const { sequence } of opened.recovery.records) count = sequence
      return { journal: opened.journal, milliseconds: performance.now() - start }
    })()
    await journal.close()
    if (count !== facts) throw new Error(`${count} of ${facts} records came back`)
    times.push(milliseconds)
  }
  return (facts / median(times)) * 1000
}

function rowsOf(submitters: number, samples: Readonly<Record<Name, Sample>>): Record<string, Cell>[] {
  return names.map((name) => ({
    submitters,
    store: name,
    'facts/s': samples[name].perSecond,
    'p50 ms': samples[name].p50,
    'p99 ms': samples[name].p99,
  }))
}

const bench: Bench = {
  name: 'journal',
  async run({ quick, progress }) {
    const rounds = quick ? 1 : 7
    const recovered = quick ? 50_000 : 500_000
    return inTemporaryDirectory(async (directory) => {
      const rows: Record<string, Cell>[] = []
      const ratios: Record<string, number> = {}
      for (const submitters of quick ? [1, 256] : [1, 16, 256, 4096]) {
        progress(`${submitters} submitters`)
        const samples = await compare(directory, submitters, rounds)
        rows.push(...rowsOf(submitters, samples))
        const { perSecond } = samples.journal
        ratios[`ofFloor${submitters}`] = perSecond / samples.floor.perSecond
        ratios[`ofEncodingFloor${submitters}`] = perSecond / samples.encodingFloor.perSecond
        ratios[`vsLmdb${submitters}`] = perSecond / samples.lmdb.perSecond
        ratios[`vsLibsql${submitters}`] = perSecond / samples.libsql.perSecond
      }
      progress('recovery')
      ratios['recoveryPerSecond'] = await measureRecovery(join(directory, 'recovery'), recovered, quick ? 1 : 5)
      return {
        name: 'journal',
        configuration: { rounds, recovered, factBytes: Buffer.byteLength(JSON.stringify(factOf(1))) },
        rows,
        ratios,
        aims: {
          ofFloor256: { atLeast: 0.6 },
          vsLmdb256: { atLeast: 1.2 },
          vsLibsql256: { atLeast: 1.5 },
          recoveryPerSecond: { atLeast: 500_000 },
        },
      }
    })
  },
}

export default bench
