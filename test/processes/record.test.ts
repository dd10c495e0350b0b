import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { isPrunable } from '../../src/processes/pruning.js'
import {
  fold,
  initialState,
  stateSchema,
  workableFromMs,
  type ProcessState,
  type StoredProcess,
} from '../../src/processes/record.js'
import { external } from '../../src/testing/processes/fixture.js'

const entry = (sequence: number, eventType: string, payload: object | number) => ({
  sequence,
  eventType,
  payload: payload as number,
  occurredAtMs: 100 + sequence,
})

describe('the state of a process (P-26)', () => {
  it('follows from its log, and fits its shape at every step', () => {
    const owner = { owner_id: 'o', incarnation_id: '1' }
    const started = { owner, started_at_ms: 5, fencing_token: 3, attempt: 1 }
    const output = { type: 'success', value: 1 } as const
    const end = { semantics: { terminal: { state: 'completed', awaitOutput: output } } } as const
    const states = [
      entry(1, 'process.first_started', { started }),
      entry(2, 'signal.go', 1),
      entry(3, 'signal.go', 1),
      entry(4, 'process.waiting', { wait: { since_ms: 5, kind: { type: 'timer', until_ms: 9 } } }),
      { ...entry(5, 'end', 1), ...end },
      entry(6, 'unknown.to.this.program', 1),
    ].reduce<ProcessState[]>((list, one) => [...list, fold(list.at(-1) ?? initialState(50), one)], [])
    for (const state of states) expect(v.parse(stateSchema, state)).toEqual(state)
    const whole = {
      updatedAtMs: 106,
      lastSequence: 6,
      signalCounts: { 'signal.go': 2 },
      firstStarted: { owner: { ownerId: 'o', incarnationId: '1' }, startedAtMs: 5, fencingToken: 3, attempt: 1 },
    }
    expect(states.at(-1)).toEqual({ ...whole, status: 'completed', outcome: output })
    expect(states.map((state) => workableFromMs(state))).toEqual([0, 0, 0, 9, undefined, undefined])
  })
})

it('may be pruned once it has ended before the cutoff, strictly (P-55)', () => {
  const { wakeTarget: _, identity = { kind: 'external' }, ...registered } = external('p')
  const state = { ...initialState(50), status: 'completed' as const, updatedAtMs: 100 }
  const stored: StoredProcess = {
    registered: { ...registered, identity },
    registrationHash: 'h',
    createdAtMs: 50,
    state,
  }
  const facts = { isRead: true, hasPendingWakes: false }
  const prunable = (cutoffMs: number, process = stored, more = facts): boolean =>
    isPrunable(process, { cutoffMs, filter: { status: 'any' }, watermark: { type: 'no_projector' } }, more)
  expect([99, 100, 101, Number.MAX_SAFE_INTEGER].map((cutoff) => prunable(cutoff))).toEqual([false, false, true, true])
  expect(prunable(101, { ...stored, state: { ...state, status: 'running' } })).toBe(false)
  expect(prunable(101, stored, { ...facts, isRead: false })).toBe(false)
  expect(prunable(101, stored, { ...facts, hasPendingWakes: true })).toBe(false)
})
