import { fold } from '../../src/node/fold.js'
import { reconcile } from '../../src/node/reconcile/reconcile.js'
import { projectSnapshot } from '../../src/node/snapshot-projection.js'
import { interleave, type BenchOptions, type Cell } from '../harness.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { randomSource, snapshotContext, steadyNode, thousandEvents, type NodeSize } from './life.js'

const sizes: Readonly<Record<string, NodeSize>> = {
  '100/1k': { daemons: 100, chains: 1000 },
  '1k/10k': { daemons: 1000, chains: 10_000 },
  '10k/100k': { daemons: 10_000, chains: 100_000 },
}

/** Milliseconds of one tick by its steps. */
interface Sample {
  readonly foldMs: number
  readonly reconcileMs: number
  readonly publishMs: number
  readonly actions: number
}

/** One tick of a node: a thousand events are folded, a pass is made, a snapshot published. */
export async function measureTicks({ quick, progress }: BenchOptions): Promise<Part> {
  const contenders: Record<string, () => Sample> = {}
  for (const [name, size] of Object.entries(sizes)) {
    progress(`a node with ${name} daemons and chains`)
    contenders[name] = ticker(size)
  }
  const samples = await interleave(contenders, { rounds: quick ? 11 : 60, warmups: quick ? 10 : 20 })
  const rows: Record<string, Cell>[] = []
  const ratios: Record<string, number> = {}
  for (const [name, taken] of Object.entries(samples)) {
    const of = (step: keyof Sample): number => median(taken.map((sample) => sample[step]))
    const tickMs = median(taken.map(({ foldMs, reconcileMs, publishMs }) => foldMs + reconcileMs + publishMs))
    rows.push({
      what: `tick of ${name} daemons/chains`,
      'fold ms': of('foldMs'),
      'reconcile ms': of('reconcileMs'),
      'publish ms': of('publishMs'),
      'tick ms': tickMs,
      actions: of('actions'),
    })
    ratios[`tickMs${name.replace('/', '')}`] = tickMs
  }
  return { rows, ratios }
}

function ticker(size: NodeSize): () => Sample {
  const state = steadyNode(size)
  const random = randomSource(7)
  return () => {
    const at = state.now + 500
    const events = thousandEvents(size, random, at)
    const start = performance.now()
    for (const event of events) fold(state, event)
    fold(state, { type: 'tick', at })
    const folded = performance.now()
    const actions = reconcile(state.version())
    const reconciled = performance.now()
    fold(state, { type: 'reconciled', enqueued: actions.slice(0, 1024) })
    const snapshot = projectSnapshot(state.version(), snapshotContext)
    const published = performance.now()
    if (snapshot.pass !== snapshotContext.pass) throw new Error('the snapshot is of another pass')
    return {
      foldMs: folded - start,
      reconcileMs: reconciled - folded,
      publishMs: published - reconciled,
      actions: actions.length,
    }
  }
}
