import { SequencedFeed } from '../src/base/feed.js'
import { elapsed, interleave, type Bench, type Cell } from './harness.js'
import { median } from './statistics.js'

interface Row {
  readonly seq: number
  readonly content: string
}

const reads = 20_000
const tail = 4

/** Microseconds to read the last rows of a full feed. */
async function tailRead(feed: SequencedFeed<Row>): Promise<number> {
  const cursor = feed.watermark() - tail
  let seen = 0
  const milliseconds = await elapsed(() => {
    for (let read = 0; read < reads; read += 1) seen += feed.since(cursor).entries.length
  })
  if (seen !== reads * tail) throw new Error(`read ${seen} rows`)
  return (milliseconds * 1000) / reads
}

/** The same by filtering an array, as hand-rolled feeds do. */
async function tailFilter(rows: readonly Row[]): Promise<number> {
  const count = Math.max(20, Math.floor((reads * 100) / rows.length))
  const cursor = (rows.at(-1)?.seq ?? 0) - tail
  let seen = 0
  const milliseconds = await elapsed(() => {
    for (let read = 0; read < count; read += 1) seen += rows.filter(({ seq }) => seq > cursor).length
  })
  if (seen !== count * tail) throw new Error(`read ${seen} rows`)
  return (milliseconds * 1000) / count
}

const bench: Bench = {
  name: 'feed',
  async run({ quick }) {
    const capacities = quick ? [1_024] : [1_024, 16_384, 262_144]
    const rows: Record<string, Cell>[] = []
    const cost = new Map<number, { feed: number; filter: number }>()
    for (const capacity of capacities) {
      const feed = new SequencedFeed<Row>(capacity)
      for (let seq = 1; seq <= 2 * capacity; seq += 1) feed.push({ seq, content: 'done' })
      const samples = await interleave(
        { feed: () => tailRead(feed), filter: () => tailFilter(feed.rows()) },
        { rounds: quick ? 3 : 9 },
      )
      const medians = { feed: median(samples.feed), filter: median(samples.filter) }
      cost.set(capacity, medians)
      rows.push({
        'rows retained': capacity,
        'since() us': Number(medians.feed.toFixed(3)),
        'array filter us': Number(medians.filter.toFixed(3)),
      })
    }
    const [smallest, largest] = [capacities[0] as number, capacities.at(-1) as number]
    const at = (capacity: number): { feed: number; filter: number } =>
      cost.get(capacity) ?? { feed: Number.NaN, filter: Number.NaN }
    return {
      name: 'feed',
      configuration: { 'rows read': tail, reads },
      rows,
      ratios: { growth: at(largest).feed / at(smallest).feed, vsFilter: at(smallest).filter / at(smallest).feed },
      aims: { growth: { atMost: 3 }, vsFilter: { atLeast: 10 } },
    }
  },
}

export default bench
