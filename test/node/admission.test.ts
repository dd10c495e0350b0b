import { describe, expect, it } from 'vitest'
import type { NodeAction } from '../../src/node/action.js'
import { AdmissionGate, pressureOf } from '../../src/node/admission.js'
import { nodeDefaults } from '../../src/node/options.js'
import { chainId, daemon, minute, nodeId } from './support/node.js'

const pull = (chain: number): NodeAction => ({ type: 'pull_replica', chain: chainId(chain), source: nodeId(3) })
const drop = (chain: number): NodeAction => ({ type: 'drop_replica', chain: chainId(chain) })
const start: NodeAction = { type: 'start_daemon', daemon: daemon(1) }
const admitted = { status: 'admitted' }
const deferred = (retryAfterMs: number) => ({ status: 'deferred', retryAfterMs })

/** A gate through which these went, at these instants. */
function gateAfter(...gone: readonly (readonly [id: number, action: NodeAction, now: number])[]): AdmissionGate {
  const gate = new AdmissionGate(nodeDefaults.backpressure)
  for (const [id, action, now] of gone) gate.reserve({ id, action, emittedAt: now }, now)
  return gate
}

describe('admission', () => {
  it('lets one pull go, and the next after a while (N-68)', () => {
    expect(gateAfter().admit(pull(1), 0)).toEqual(admitted)
    const gate = gateAfter([1, pull(1), 0])
    expect(gate.admit(pull(2), 100)).toEqual(deferred(150))
    expect(gate.admit(pull(2), 250)).toEqual(admitted)
  })

  it('lets a chain rest after its copies have changed (N-69)', () => {
    for (const gone of [pull(1), drop(1)]) {
      const gate = gateAfter([1, gone, 0])
      expect(gate.admit(pull(1), 1000)).toEqual(deferred(minute - 1000))
      expect(gate.admit(drop(1), 1000)).toEqual(deferred(minute - 1000))
      expect(gate.admit(pull(1), minute)).toEqual(admitted)
      expect(gate.admit(drop(2), 1000)).toEqual(admitted)
    }
  })

  it('holds back the start of a daemon, and never its stop (N-70)', () => {
    const gate = gateAfter([1, { type: 'apply_backoff', daemon: daemon(1), until: 500 }, 0])
    expect(gate.admit(start, 499)).toEqual({ status: 'gated', reason: 'daemon-backoff', until: 500 })
    const stop: NodeAction = { type: 'stop_daemon', daemon: daemon(1), reason: '', deadline: 9 }
    expect(gate.admit(stop, 499)).toEqual(admitted)
    expect(gate.admit({ type: 'start_daemon', daemon: daemon(2) }, 499)).toEqual(admitted)
    expect(gate.admit(start, 500)).toEqual(admitted)
    gate.openDaemon(daemon(1).id)
    expect(gate.admit(start, 499)).toEqual(admitted)
  })

  it('forgets what holds nothing back any more (N-70)', () => {
    const gate = gateAfter([1, { type: 'apply_backoff', daemon: daemon(1), until: 500 }, 0], [2, drop(1), 0])
    gate.collect(499)
    expect(gate.admit(start, 499).status).toBe('gated')
    gate.collect(minute)
    // Seen from before, what is still remembered would hold them back.
    expect(gate.admit(start, 0)).toEqual(admitted)
    expect(gate.admit(drop(1), 0)).toEqual(admitted)
  })

  it('takes back what a failed action has set, and nothing of another one (N-73)', () => {
    const gate = gateAfter([1, pull(1), 0], [2, pull(2), 300])
    gate.release({ id: 1, action: pull(1), emittedAt: 0 })
    expect(gate.admit(pull(3), 400)).toEqual(deferred(150))
    expect(gate.admit(drop(1), 400)).toEqual(admitted)
    expect(gate.admit(drop(2), 400)).toEqual(deferred(300 + minute - 400))
    gate.release({ id: 2, action: pull(2), emittedAt: 300 })
    expect(gate.admit(pull(3), 400)).toEqual(admitted)
  })

  it('lets everything else go (N-72)', () => {
    const gate = gateAfter([1, pull(1), 0])
    expect(gate.admit({ type: 'request_placement', chain: chainId(1), exclude: [] }, 0)).toEqual(admitted)
    expect(gate.admit({ type: 'mark_avoid', peer: nodeId(2), reason: '', ttlMs: 1 }, 0)).toEqual(admitted)
  })

  it('says how hard the cluster is pressed (N-72)', () => {
    const { backpressure } = nodeDefaults
    expect([0, 200, 600, 1000, 5000].map((depth) => pressureOf(depth, backpressure))).toEqual([0, 0, 0.5, 1, 1])
  })
})
