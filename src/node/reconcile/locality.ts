import type { Pass } from './pass.js'

/** Fifth arm: peers that are too far away are avoided for a while, sorted by id (N-51). */
export function reconcileLocality({ version, actions }: Pass): void {
  const { degradedRttMs, avoidTtlMs } = version.configuration.locality
  version.peers.forEach(({ node, rttMs }) => {
    if (rttMs === undefined || rttMs <= degradedRttMs || version.avoided.has(node)) return
    actions.push({ type: 'mark_avoid', peer: node, reason: `rtt-degradation: ${rttMs} ms`, ttlMs: avoidTtlMs })
  })
}
