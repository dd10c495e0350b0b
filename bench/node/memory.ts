import { liveHeapBytes, type BenchOptions } from '../harness.js'
import type { Part } from '../tasks.js'
import { steadyNode } from './life.js'

/** Bytes that one daemon takes, and one chain of three copies. */
export async function measureMemory({ quick, progress }: BenchOptions): Promise<Part> {
  progress('bytes per daemon and chain')
  const many = quick ? 2000 : 50_000
  const before = await liveHeapBytes()
  const daemons = steadyNode({ daemons: many, chains: 0 })
  const between = await liveHeapBytes()
  const chains = steadyNode({ daemons: 0, chains: many })
  const after = await liveHeapBytes()
  const kept = [daemons.version().daemons.size, chains.version().chains.size]
  const [bytesPerDaemon, bytesPerChain] = [(between - before) / (kept[0] ?? 1), (after - between) / (kept[1] ?? 1)]
  return {
    rows: [
      { what: 'a daemon', bytes: bytesPerDaemon },
      { what: 'a chain of three copies', bytes: bytesPerChain },
    ],
    ratios: { bytesPerDaemon, bytesPerChain },
  }
}
