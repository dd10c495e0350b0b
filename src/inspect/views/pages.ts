import type { Page } from '../stream/protocol.js'

/** The requested part of a list. */
export interface Window {
  readonly offset?: number
  readonly limit?: number
}

/** A window of existing rows. */
export function pageOf<Row>(rows: readonly Row[], { offset = 0, limit = 100 }: Window = {}): Page<Row> {
  return { total: rows.length, offset, rows: rows.slice(offset, offset + limit) }
}

/** A window of rows that are made on demand. */
export function pageOfMade<Source, Row>(
  sources: readonly Source[],
  make: (source: Source) => Row,
  { offset = 0, limit = 100 }: Window = {},
): Page<Row> {
  return { total: sources.length, offset, rows: sources.slice(offset, offset + limit).map(make) }
}
