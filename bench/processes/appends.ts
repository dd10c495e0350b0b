import { watchStore } from '../../src/processes/watched-store.js'
import { elapsed, interleave, type BenchOptions, type Cell } from '../harness.js'
import { inTemporaryDirectory } from '../journal/contenders.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { atOnce, idOf, openStore, registerMany, storeKinds } from './stores.js'

const processes = 64

/** Appends per second, 64 at a time on as many processes, with and without somebody who is told of each. */
export async function measureAppends(url: string, { quick, progress }: BenchOptions): Promise<Part> {
  const rows: Record<string, Cell>[] = []
  const ratios: Record<string, number> = {}
  await inTemporaryDirectory(async (directory) => {
    for (const kind of storeKinds) {
      progress(`appends on ${kind}`)
      await using open = await openStore(kind, { directory, url, schema: 'appends' })
      await registerMany(open.store, processes)
      let told = 0
      const bare = watchStore(open.store).store
      const fed = watchStore(open.store, { sink: { emit: () => void (told += 1) } }).store
      const count = quick ? 200 : kind === 'memory' ? 20_000 : 4000
      const append = (store: typeof bare) => (): Promise<number> =>
        elapsed(() =>
          atOnce(count, { concurrency: processes }, (index) =>
            store.appendEvent(idOf(index % processes), { eventType: 'note', payload: index }),
          ),
        )
      const samples = await interleave({ without: append(bare), with: append(fed) }, { rounds: quick ? 1 : 3 })
      if (told === 0) throw new Error('the sink was told nothing')
      const [without, withSink] = [samples.without, samples.with].map((each) => (count * 1000) / median(each))
      rows.push({ what: `appends, ${kind}`, 'per second': without ?? 0, 'with a sink': withSink ?? 0 })
      ratios[`appendsPerSecond_${kind}`] = without ?? 0
      ratios[`appendsPerSecondWithSink_${kind}`] = withSink ?? 0
    }
  })
  return { rows, ratios }
}
