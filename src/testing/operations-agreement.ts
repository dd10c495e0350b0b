import assert from 'node:assert/strict'
import { cursorConsumers, operationActions, type OperationStatus } from '../../machines/operation-vocabulary.js'
import type { OperationRegistry, OperationSnapshot } from '../operations/index.js'
import type { OperationsOracle } from './operations-oracle.js'
import type { OracleOperation } from './operations-oracle-types.js'
import { publicResults, repeats, terminal } from './operations-tables.js'

/** Raises an `AssertionError` unless everything that can be read of the registry is what the oracle says. */
export function assertAgreement(registry: OperationRegistry, oracle: OperationsOracle): void {
  const { operations, cursors, feed } = oracle
  const expected = operations.toSorted(byNameThenId)
  assert.deepEqual(
    registry.listOperations().map(facts),
    expected.map((one) => expectedFacts(one, oracle)),
    'operations',
  )
  for (const { id } of operations)
    assert.deepEqual(
      facts(registry.snapshot(id) as OperationSnapshot),
      expectedFacts(oracle.find(id) as OracleOperation, oracle),
      'snapshot',
    )
  const { pendingWait, pendingWaits, activeCount, operationCount } = registry.diagnostics()
  assert.equal(activeCount, oracle.liveOperations().length, '[I7] active count')
  assert.equal(operationCount, operations.length, 'operation count')
  assert.deepEqual(
    pendingWaits.map(({ turnId, operationIds }) => ({ turnId, operationIds })),
    oracle.pendingWaits.map(({ turnId, members }) => ({ turnId, operationIds: members })),
    '[I12] the barriers',
  )
  assert.deepEqual(pendingWait, pendingWaits[0] ?? null, '[I12] the oldest barrier')
  const obligations = registry.outstandingObligations().map(({ turnId, operationIds }) => ({ turnId, operationIds }))
  const owed = oracle.waits.filter(({ state }) => state === 'satisfied')
  assert.deepEqual(
    obligations,
    owed.map(({ turnId, members }) => ({ turnId, operationIds: members })),
    'obligations',
  )
  for (const consumer of cursorConsumers) {
    assert.equal(registry.completionCursor(consumer), cursors[consumer], `[I11] cursor ${consumer}`)
  }
  const { entries, watermark } = registry.completionFeed().since(0)
  const rows = entries.map(({ seq, operationId, kind, displayName, outcome }) => ({
    seq,
    operationId,
    kind,
    displayName,
    outcome,
  }))
  assert.deepEqual(rows, feed, 'completion feed')
  assert.equal(watermark, feed.at(-1)?.seq ?? 0, 'watermark')
  const lost = registry.lost.map(({ id, status }) => ({ id, status }))
  assert.deepEqual(lost.toSorted(byId), oracle.lost.toSorted(byId), 'lost operations, in any order')
  for (const { id, status } of operations) assertClasses(registry, id, status)
}

/** Raises an `AssertionError` unless the invariants of spec operations 2.8 hold, whatever the oracle thinks. */
export function assertInvariants(registry: OperationRegistry): void {
  const snapshots = registry.listOperations()
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
    if (peerReady) assert.equal(kind, 'mob_member_child', `[I1] ${id}`)
    assert.equal(isOver, terminal.includes(status), `[I4] ${id}`)
    assert.equal(outcome?.type, isOver ? status : undefined, `[I4, I5, I6] ${id}`)
    assert.ok(createdAtMs <= (startedAtMs ?? createdAtMs), `${id} started before it was created`)
    assert.ok((startedAtMs ?? createdAtMs) <= (completedAtMs ?? Infinity), `${id} completed before it started`)
    assert.ok((elapsedMs ?? 0) >= 0, `${id} took negative time`)
  }
  const {
    authority_state: authority,
    operation_specs: specs,
    completion_entries: entries,
  } = registry.capturePersistenceSnapshot()
  assert.deepEqual(Object.keys(authority.operations).toSorted(), Object.keys(specs).toSorted(), '[I8] specs')
  const feedFacts = Object.entries(authority.completion_feed_entries)
  assert.deepEqual(
    feedFacts.map(([id]) => id).toSorted(),
    entries.map((entry) => entry.operation_id).toSorted(),
    '[I10] domains',
  )
  const claims = new Map<number, string>()
  const claim = (sequence: number, id: string): void => {
    assert.equal(claims.get(sequence) ?? id, id, `[I9] sequence ${sequence} is claimed twice`)
    assert.ok(sequence <= authority.next_completion_seq, `[I9] sequence ${sequence} is beyond the counter`)
    claims.set(sequence, id)
  }
  for (const [id, { seq }] of feedFacts) claim(seq, id)
  for (const [id, record] of Object.entries(authority.operations)) {
    const { status, terminal_outcome: outcome, completion_sequence: sequence } = record
    assert.equal(sequence !== undefined, terminal.includes(status), `[I5] ${id}`)
    if (sequence !== undefined) claim(sequence, id)
    const fact = authority.completion_feed_entries[id]
    if (fact !== undefined && sequence !== undefined) {
      assert.deepEqual([fact.seq, fact.kind, fact.terminal_outcome], [sequence, record.kind, outcome], `[I10] ${id}`)
    }
  }
  const sequences = entries.map(({ seq }) => seq)
  assert.deepEqual(
    sequences,
    [...new Set(sequences)].toSorted((one, other) => one - other),
    '[I9] order of the feed',
  )
}

function assertClasses(registry: OperationRegistry, id: OracleOperation['id'], status: OperationStatus): void {
  assert.equal(registry.classifyPublicResult(id), publicResults[status], `public result of ${status}`)
  for (const action of operationActions) {
    const expected = repeats[action]?.includes(status) === true ? 'idempotent' : 'not_idempotent'
    assert.equal(registry.classifyTransitionIdempotence(id, action), expected, `repeating ${action} when ${status}`)
  }
}

function facts(snapshot: OperationSnapshot): object {
  const { id, kind, displayName, sourceLabel, operationSource, childSessionId, status } = snapshot
  const { publicResultClass, outcome, peerReady, progressCount, watcherCount } = snapshot
  return {
    id,
    kind,
    displayName,
    sourceLabel,
    operationSource,
    childSessionId,
    status,
    publicResultClass,
    outcome,
    peerReady,
    progressCount,
    watcherCount,
  }
}

function expectedFacts(operation: OracleOperation, { watches }: OperationsOracle): object {
  const { id, kind, displayName, sourceLabel, source, status, outcome, peerReady, progressCount } = operation
  return {
    id,
    kind,
    displayName,
    sourceLabel,
    operationSource: source,
    status,
    childSessionId: source?.kind === 'session_child' ? source.sessionId : null,
    publicResultClass: publicResults[status],
    outcome: outcome ?? null,
    peerReady,
    progressCount,
    watcherCount: watches.filter(({ operationId, state }) => operationId === id && state === 'pending').length,
  }
}

function byId(one: { readonly id: string }, other: { readonly id: string }): number {
  return one.id < other.id ? -1 : 1
}

function byNameThenId(one: OracleOperation, other: OracleOperation): number {
  if (one.displayName !== other.displayName) return one.displayName < other.displayName ? -1 : 1
  return byId(one, other)
}
