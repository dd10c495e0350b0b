import assert from 'node:assert/strict'
import {
  cursorConsumers,
  operationActions,
  type OperationId,
  type OperationStatus,
} from '../../../machines/operation-vocabulary.js'
import { assertSame } from '../comparison.js'
import type { OperationsDriver } from './driver.js'
import type { OperationsOracle } from './oracle.js'
import type { ReportedOperation } from './port.js'
import type { OracleOperation } from './rows.js'
import { publicResults, repeats } from './tables.js'

/**
 * Compares everything that can be read through the port with the oracle. Rejects with an `AssertionError` if they
 * differ.
 */
export async function assertAgreement(driver: OperationsDriver, oracle: OperationsOracle): Promise<void> {
  const { comparison, port } = driver
  const same = (actual: unknown, expected: unknown, what: string): void =>
    assertSame(actual, expected, what, comparison)
  const { operations, cursors, feed } = oracle
  if (driver.has('listOperations')) {
    const listed = (await driver.call('listOperations')).map(rowOf)
    const expected = operations.toSorted(byNameThenId).map((one) => expectedRow(one, oracle))
    // A system that assigns its own ids cannot list them in the oracle's order.
    if (comparison === 'whole') same(listed, expected, 'operations')
    else same(listed.toSorted(byId), expected.toSorted(byId), 'operations, in any order')
  }
  if (driver.has('snapshot')) {
    for (const operation of operations) {
      const { id } = operation
      const snapshot = await driver.call('snapshot', id)
      assert.ok(snapshot !== undefined, `operation ${id} should be there`)
      same(rowOf(snapshot), expectedRow(operation, oracle), `snapshot of ${id}`)
    }
  }
  if (driver.has('diagnostics')) {
    const { pendingWait, pendingWaits, activeCount, operationCount } = await driver.call('diagnostics')
    assert.equal(activeCount, oracle.liveOperations().length, '[O-33] active count')
    assert.equal(operationCount, operations.length, 'operation count')
    same(
      pendingWaits.map(({ turnId, operationIds }) => ({ turnId, operationIds })),
      oracle.pendingWaits.map(({ turnId, members }) => ({ turnId, operationIds: members })),
      '[O-38] the barriers',
    )
    same(pendingWait, pendingWaits[0] ?? null, '[O-38] the oldest barrier')
  }
  if (driver.has('outstandingObligations')) {
    const obligations = await driver.call('outstandingObligations')
    const owed = oracle.waits.filter(({ state }) => state === 'satisfied')
    same(
      obligations.map(({ turnId, operationIds }) => ({ turnId, operationIds })),
      owed.map(({ turnId, members }) => ({ turnId, operationIds: members })),
      'obligations',
    )
  }
  if (driver.has('queued')) same(await driver.call('queued'), oracle.line.ids, '[O-156] the line')
  if (driver.has('completionCursor')) {
    for (const consumer of cursorConsumers) {
      assert.equal(await driver.call('completionCursor', consumer), cursors[consumer], `[O-37] cursor ${consumer}`)
    }
  }
  if (driver.has('completionFeed')) {
    const { entries, watermark } = await (await driver.call('completionFeed')).since(0)
    const rows = entries.map(({ seq, operationId, kind, displayName, outcome }) => ({
      seq,
      operationId,
      kind,
      displayName,
      outcome,
    }))
    same(rows, feed, 'completion feed')
    if (watermark !== undefined || comparison === 'whole') {
      assert.equal(watermark, feed.at(-1)?.seq ?? 0, 'watermark')
    }
  }
  const lost = await port.lost
  if (lost !== undefined) {
    const rows = lost.map(({ id, status }) => ({ id, status }))
    const expected = oracle.lost.map(({ id, status }) => ({ id, status }))
    same(rows.toSorted(byId), expected.toSorted(byId), 'lost operations, in any order')
  }
  for (const { id, status } of operations) await assertClasses(driver, id, status)
}

async function assertClasses(driver: OperationsDriver, id: OperationId, status: OperationStatus): Promise<void> {
  if (driver.has('classifyPublicResult')) {
    const result = await driver.call('classifyPublicResult', id)
    assert.equal(result, publicResults[status], `public result of ${status}`)
  }
  if (!driver.has('classifyTransitionIdempotence')) return
  for (const action of operationActions) {
    const expected = repeats[action]?.includes(status) === true ? 'idempotent' : 'not_idempotent'
    const actual = await driver.call('classifyTransitionIdempotence', id, action)
    assert.equal(actual, expected, `repeating ${action} when ${status}`)
  }
}

function rowOf(snapshot: ReportedOperation) {
  const { id, kind, displayName, sourceLabel, operationSource, childSessionId, status } = snapshot
  const { parentId, publicResultClass, outcome, peerReady, progressCount, watcherCount } = snapshot
  return {
    id,
    kind,
    displayName,
    sourceLabel,
    operationSource,
    childSessionId,
    parentId,
    status,
    publicResultClass,
    outcome,
    peerReady,
    progressCount,
    watcherCount,
  }
}

function expectedRow(operation: OracleOperation, { watches }: OperationsOracle) {
  const { id, kind, displayName, sourceLabel, source, parentId, status, outcome, peerReady, progressCount } = operation
  return {
    id,
    kind,
    displayName,
    sourceLabel,
    operationSource: source,
    parentId,
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
