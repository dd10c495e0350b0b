import { MemoryCluster } from '../../src/node/memory-cluster.js'
import { SimulatedClock } from '../../src/testing/index.js'
import { clusterContract } from './support/cluster-contract.js'

clusterContract('in memory', async () => {
  const clock = new SimulatedClock()
  return { source: new MemoryCluster(clock), pass: async (milliseconds) => clock.advance(milliseconds) }
})
