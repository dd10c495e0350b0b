import type { BlobId, NodeId } from './ids.js'

/** What a node knows about a blob. */
export interface BlobRow {
  readonly blob: BlobId
  readonly sizeBytes: number
  /** In the order of their announcements. */
  readonly holders: readonly NodeId[]
}

/** The row after a holder was announced. */
export function announced(row: BlobRow | undefined, blob: BlobId, holder: NodeId, sizeBytes: number): BlobRow {
  if (row === undefined) return { blob, sizeBytes, holders: [holder] }
  return { blob, sizeBytes, holders: row.holders.includes(holder) ? row.holders : [...row.holders, holder] }
}

/** The row after a holder has withdrawn; `undefined` when nobody holds the blob any more. */
export function withdrawn(row: BlobRow, holder: NodeId): BlobRow | undefined {
  const holders = row.holders.filter((other) => other !== holder)
  if (holders.length === row.holders.length) return row
  return holders.length === 0 ? undefined : { ...row, holders }
}
