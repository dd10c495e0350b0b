import assert from 'node:assert/strict'
import type { OperationSnapshot, WireOperationsSnapshot } from '../../operations/public.js'
import type { Awaitable } from '../awaitable.js'
import { terminal } from './tables.js'

/** The reads needed to check the invariants. */
export interface InvariantReads {
  listOperations(): Awaitable<readonly OperationSnapshot[]>
  capturePersistenceSnapshot(): Awaitable<WireOperationsSnapshot>
}

/** Rejects with an `AssertionError` unless the invariants (O-28 to O-38) hold, independently of the oracle. */
export async function assertInvariants(system: InvariantReads): Promise<void> {
  const snapshots = await system.listOperations()
  for (const {
    id,
    kind,
    status,
    terminal: isOver,
    outcome,
    peerReady,
    createdAtMs,
    startedAtMs,
    completedAtMs,
    elapsedMs,
  } of snapshots) {
    if (peerReady) assert.equal(kind, 'mob_member_child', `[O-28] ${id}`)
    assert.equal(isOver, terminal.includes(status), `[O-30] ${id}`)
    assert.equal(outcome?.type, isOver ? status : undefined, `[O-30, O-31, O-32] ${id}`)
    assert.ok(createdAtMs <= (startedAtMs ?? createdAtMs), `${id} started before it was created`)
    assert.ok((startedAtMs ?? createdAtMs) <= (completedAtMs ?? Infinity), `${id} completed before it started`)
    assert.ok((elapsedMs ?? 0) >= 0, `${id} took negative time`)
  }
  const {
    authority_state: authority,
    operation_specs: specs,
    completion_entries: entries,
  } = await system.capturePersistenceSnapshot()
  assert.deepEqual(Object.keys(authority.operations).toSorted(), Object.keys(specs).toSorted(), '[O-34] specs')
  const feedFacts = Object.entries(authority.completion_feed_entries)
  assert.deepEqual(
    feedFacts.map(([id]) => id).toSorted(),
    entries.map((entry) => entry.operation_id).toSorted(),
    '[O-36] domains',
  )
  const claims = new Map<number, string>()
  const claim = (sequence: number, id: string): void => {
    assert.equal(claims.get(sequence) ?? id, id, `[O-35] sequence ${sequence} is claimed twice`)
    assert.ok(sequence <= authority.next_completion_seq, `[O-35] sequence ${sequence} is beyond the counter`)
    claims.set(sequence, id)
  }
  for (const [id, { seq }] of feedFacts) claim(seq, id)
  for (const [id, record] of Object.entries(authority.operations)) {
    const { status, terminal_outcome: outcome, completion_sequence: sequence } = record
    assert.equal(sequence !== undefined, terminal.includes(status), `[O-31] ${id}`)
    if (sequence !== undefined) claim(sequence, id)
    const fact = authority.completion_feed_entries[id]
    if (fact !== undefined && sequence !== undefined) {
      assert.deepEqual([fact.seq, fact.kind, fact.terminal_outcome], [sequence, record.kind, outcome], `[O-36] ${id}`)
    }
  }
  const sequences = entries.map(({ seq }) => seq)
  assert.deepEqual(
    sequences,
    [...new Set(sequences)].toSorted((one, other) => one - other),
    '[O-35] order of the feed',
  )
}
