import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { adminPayload, blastHashOf, icePayload, payloadDigest } from '../../../src/node/admin/signing-payload.js'
import { noDigest, type Digest } from '../../../src/node/ids.js'
import { chain, node } from './support/operators.js'

const text = (payload: Uint8Array): string => Buffer.from(payload).toString('utf8')
const blastHash = 'ab'.repeat(32) as Digest

describe('what is signed', () => {
  it('[N-303] for an ordinary commit is its name, a zero byte and canonical JSON', () => {
    const event = { type: 'enter_maintenance', node: node(5), drainForMs: 1000 } as const
    expect(text(adminPayload({ event, issuedAtMs: 17 }))).toBe(
      'stateward.node.admin.v1\0{"event":{"drain_for_ms":1000,"node":"0000000000000005","type":"enter_maintenance"},"issued_at_ms":17}',
    )
  })

  it('[N-303] for a bundle names the radius by its digest', () => {
    const proposal = { type: 'force_cutover', chain: chain(16), target: node(2) } as const
    expect(text(icePayload({ proposal, issuedAtMs: 17, blastHash }))).toBe(
      `stateward.node.ice.v1\0{"blast_hash":"${blastHash}","issued_at_ms":17,"proposal":{"chain":"0000000000000010","target":"0000000000000002","type":"force_cutover"}}`,
    )
  })

  it('[N-303] does not depend on the order in which an event was written', () => {
    const one = adminPayload({ event: { type: 'drain', node: node(5), drainForMs: 1 }, issuedAtMs: 1 })
    expect(adminPayload({ issuedAtMs: 1, event: { drainForMs: 1, node: node(5), type: 'drain' } })).toEqual(one)
  })

  it('[N-303] of one surface is never what is signed on the other', () => {
    const proposal = { type: 'thaw_cluster' } as const
    expect(adminPayload({ event: proposal, issuedAtMs: 1 })).not.toEqual(
      icePayload({ proposal, issuedAtMs: 1, blastHash }),
    )
  })

  it('[N-304] is named by its SHA-256, and so is a radius', () => {
    const payload = Buffer.from('abc')
    expect(payloadDigest(payload)).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    const radius = {
      affectedNodes: [node(2)],
      affectedReplicas: [],
      affectedDaemons: [],
      placementStabilityDeltaPercent: 0,
      warnings: [],
    }
    const written =
      'stateward.node.blast-radius.v1\0{"affected_daemons":[],"affected_nodes":["0000000000000002"],"affected_replicas":[],"placement_stability_delta_percent":0,"warnings":[]}'
    expect(blastHashOf(radius)).toBe(createHash('sha256').update(written).digest('hex'))
    expect(blastHashOf(radius)).not.toBe(noDigest)
    expect(blastHashOf({ ...radius, affectedNodes: [node(3)] })).not.toBe(blastHashOf(radius))
  })
})
