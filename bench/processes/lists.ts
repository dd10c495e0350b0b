import { elapsed, type BenchOptions, type Cell } from '../harness.js'
import { inTemporaryDirectory } from '../journal/contenders.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { openStore, registerMany } from './stores.js'

/** What a listed row costs when there are few and when there are many. */
export async function measureLists(url: string, { quick, progress }: BenchOptions): Promise<Part> {
  const [few, many] = quick ? [100, 1000] : [1000, 100_000]
  const rows: Record<string, Cell>[] = []
  const growths: number[] = []
  const ratios: Record<string, number> = {}
  await inTemporaryDirectory(async (directory) => {
    for (const kind of ['memory', 'postgres'] as const) {
      progress(`lists on ${kind}`)
      await using open = await openStore(kind, { directory, url, schema: 'lists' })
      const perRow = async (count: number, rounds: number): Promise<number> => {
        const list = (): Promise<number> => elapsed(() => open.store.listProcesses())
        await list()
        const samples: number[] = []
        for (let round = 0; round < rounds; round += 1) samples.push(await list())
        return (median(samples) * 1000) / count
      }
      await registerMany(open.store, few)
      const ofFew = await perRow(few, 20)
      await registerMany(open.store, many - few, few)
      const ofMany = await perRow(many, 3)
      const growth = ofMany / ofFew
      growths.push(growth)
      ratios[`listGrowth_${kind}`] = growth
      rows.push({ what: `list, ${kind}`, [`µs per row of ${few}`]: ofFew, [`µs per row of ${many}`]: ofMany, growth })
    }
  })
  return { rows, ratios: { ...ratios, growth: Math.max(...growths) } }
}
