import type { Page } from '../stream/protocol.js'

/** The part of a list that is asked for. */
export interface Window {
  readonly offset?: number
  readonly limit?: number
}

/** A window of rows that are there already. */
export function pageOf<Row>(rows: readonly Row[], { offset = 0, limit = 100 }: Window = {}): Page<Row> {
  return { total: rows.length, offset, rows: rows.slice(offset, offset + limit) }
}

/** A window of rows that are made when they are shown. */
export function pageOfMade<Source, Row>(
  sources: readonly Source[],
  make: (source: Source) => Row,
  { offset = 0, limit = 100 }: Window = {},
): Page<Row> {
  return { total: sources.length, offset, rows: sources.slice(offset, offset + limit).map(make) }
}
