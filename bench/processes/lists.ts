import { elapsed, interleave, type BenchOptions, type Cell } from '../harness.js'
import { inTemporaryDirectory } from '../journal/contenders.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { openStore, registerMany } from './stores.js'

/**
 * What a listed row costs when there are few and when there are many. Few are listed so often that as many rows come of it:
 * whatever else runs on the machine takes its part of both alike.
 */
export async function measureLists(url: string, { quick, progress }: BenchOptions): Promise<Part> {
  const [few, many] = quick ? [100, 1000] : [1000, 100_000]
  const rows: Record<string, Cell>[] = []
  const growths: number[] = []
  const ratios: Record<string, number> = {}
  await inTemporaryDirectory(async (directory) => {
    for (const kind of ['memory', 'postgres'] as const) {
      progress(`lists on ${kind}`)
      await using small = await openStore(kind, { directory, url, schema: 'lists_few' })
      await using large = await openStore(kind, { directory, url, schema: 'lists_many' })
      await registerMany(small.store, few)
      await registerMany(large.store, many)
      const samples = await interleave(
        {
          few: () =>
            elapsed(async () => {
              for (let listed = 0; listed < many; listed += few) await small.store.listProcesses()
            }),
          many: () => elapsed(() => large.store.listProcesses()),
        },
        { rounds: 5 },
      )
      const [ofFew, ofMany] = [samples.few, samples.many].map((each) => (median(each) * 1000) / many) as [
        number,
        number,
      ]
      const growth = ofMany / ofFew
      growths.push(growth)
      ratios[`listGrowth_${kind}`] = growth
      rows.push({ what: `list, ${kind}`, [`µs per row of ${few}`]: ofFew, [`µs per row of ${many}`]: ofMany, growth })
    }
  })
  return { rows, ratios: { ...ratios, growth: Math.max(...growths) } }
}
