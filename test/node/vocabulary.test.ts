import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeAdminEvent, encodeAdminEvent, iceKinds, isIce, ordinaryAdminKinds } from '../../src/node/admin-event.js'
import { canonicalBytes } from '../../src/node/canonical.js'
import { daemonControlOf } from '../../src/node/control-event.js'
import { takeNodeEvent } from '../../src/node/event.js'
import { parseNodeId } from '../../src/node/ids.js'
import { nodeDefaults, resolveNodeOptions, type NodeOptions } from '../../src/node/options.js'
import { anyAdminEvent, anyEvent } from './support/history.js'
import { chainId, daemon, nodeId, self } from './support/node.js'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

describe('an admin event', () => {
  it('is read as it was written, whatever it is (N-41)', () => {
    const kinds = new Set<string>()
    fc.assert(
      fc.property(anyAdminEvent, (event) => {
        kinds.add(event.type)
        const written = encodeAdminEvent(event)
        expect(decodeAdminEvent(JSON.parse(text(canonicalBytes(written))))).toEqual(event)
      }),
      { numRuns: 500 },
    )
    expect([...kinds].toSorted()).toEqual([...iceKinds, ...ordinaryAdminKinds].toSorted())
  })

  it('has one spelling in bytes, whatever the order of its fields (N-127)', () => {
    const event = { node: self, type: 'drain', drainForMs: 5 } as const
    expect(text(canonicalBytes(encodeAdminEvent(event)))).toBe(
      '{"drain_for_ms":5,"node":"0000000000000007","type":"drain"}',
    )
    const scope = { type: 'on_peer', peer: nodeId(2) } as const
    expect(text(canonicalBytes(encodeAdminEvent({ type: 'flush_avoid_lists', scope })))).toBe(
      '{"scope":{"peer":"0000000000000002","type":"on_peer"},"type":"flush_avoid_lists"}',
    )
    expect(text(canonicalBytes(encodeAdminEvent({ type: 'enter_maintenance', node: self })))).toBe(
      '{"node":"0000000000000007","type":"enter_maintenance"}',
    )
  })

  it.each([
    ['an unknown kind', { type: 'reboot', node: self }, 'type'],
    ['a field that is not known', { type: 'cordon', node: self, force: true }, 'force'],
    ['a missing field', { type: 'drain', node: self }, 'drain_for_ms'],
    ['a fraction of a millisecond', { type: 'drain', node: self, drain_for_ms: 0.5 }, 'drain_for_ms'],
    ['an id that is too short', { type: 'cordon', node: '7' }, 'node'],
    ['an id in upper case', { type: 'cordon', node: 'ABCDEF0123456789' }, 'node'],
    ['a part that does not fit', { type: 'flush_avoid_lists', scope: { type: 'local' } }, 'scope.node'],
  ])('is refused for %s (N-41)', (_, stored, field) => {
    expect(() => decodeAdminEvent(stored)).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ subject: 'admin event' }) }),
    )
    try {
      decodeAdminEvent(stored)
    } catch (error) {
      const refused = error as { readonly data: { readonly field: string } }
      expect(refused.data.field.replace('drainForMs', 'drain_for_ms')).toBe(field)
    }
  })

  it('breaks the glass or does not (N-106)', () => {
    expect(isIce({ type: 'thaw_cluster' })).toBe(true)
    expect(isIce({ type: 'cordon', node: self })).toBe(false)
  })
})

describe('an event from outside', () => {
  it('is taken as a frozen copy, whatever it is (N-128)', () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        if (event.type === 'inventory_polled') return
        const taken = takeNodeEvent(event)
        expect(taken).toEqual(event)
        expect(taken).not.toBe(event)
        expect(Object.isFrozen(taken)).toBe(true)
        if (taken.type === 'daemon_lifecycle') expect(Object.isFrozen(taken.signal)).toBe(true)
      }),
    )
    for (const event of [
      { type: 'tick' },
      { type: 'log_line', level: 'info', message: 'up', daemonId: daemon(1).id },
      { type: 'node_health', peer: self, health: 'degraded' },
    ]) {
      expect(takeNodeEvent(event)).toEqual(event)
    }
  })

  it.each([
    ['what the loop alone folds', { type: 'reconciled', enqueued: [] }],
    ['a chain that is none', { type: 'placement_intent', chain: 'x', desiredReplicas: 1 }],
    ['more copies than can be counted', { type: 'placement_intent', chain: chainId(1), desiredReplicas: 2 ** 32 }],
    ['a distance that is none', { type: 'rtt_sample', peer: self, rttMs: NaN }],
    [
      'a getter that throws',
      {
        type: 'tick',
        get node(): never {
          throw new Error('no')
        },
      },
    ],
    ['nothing', undefined],
  ])('is refused when it is %s (N-128)', (_, input) => {
    expect(() => takeNodeEvent(input)).toThrow(expect.objectContaining({ code: 'invalid_input' }))
  })
})

describe('options of a node', () => {
  it('have a default but for the node itself (N-129)', () => {
    expect(resolveNodeOptions({ thisNode: self })).toEqual({ thisNode: self, ...nodeDefaults })
    const options: NodeOptions = {
      thisNode: self,
      tickIntervalMs: 20,
      supervision: { backoff: { initialMs: 5 } },
      locality: { avoidTtlMs: undefined as never },
    }
    const { supervision, locality, tickIntervalMs } = resolveNodeOptions(options)
    expect(tickIntervalMs).toBe(20)
    expect(supervision).toEqual({
      ...nodeDefaults.supervision,
      backoff: { ...nodeDefaults.supervision.backoff, initialMs: 5 },
    })
    expect(locality).toEqual(nodeDefaults.locality)
  })

  it.each([
    ['thisNode', {}],
    ['tickIntervalMs', { thisNode: self, tickIntervalMs: 0 }],
    ['seconds', { thisNode: self, seconds: 1 }],
    ['scheduler.scoreFloor', { thisNode: self, scheduler: { scoreFloor: 50 } }],
    ['backpressure.clusterRelease', { thisNode: self, backpressure: { clusterThreshold: 200 } }],
  ])('are refused by the name of the field: %s (N-129)', (field, options) => {
    expect(() => resolveNodeOptions(options as NodeOptions)).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field }) }),
    )
  })
})

describe('ids and control', () => {
  it('have one spelling (N-130)', () => {
    expect(parseNodeId('ABCDEF0123456789')).toBe('abcdef0123456789')
    expect(() => parseNodeId('xyz')).toThrow(expect.objectContaining({ code: 'invalid_input' }))
  })

  it('reach daemons with what is left of the time (N-131)', () => {
    expect(daemonControlOf({ type: 'drain_start', deadline: 50 }, 20)).toEqual({
      type: 'drain_start',
      gracePeriodMs: 30,
    })
    expect(daemonControlOf({ type: 'shutdown', deadline: 50 }, 70)).toEqual({ type: 'shutdown', gracePeriodMs: 0 })
    const on = { type: 'backpressure_on', level: 0.5 } as const
    expect(daemonControlOf(on, 70)).toBe(on)
  })
})
