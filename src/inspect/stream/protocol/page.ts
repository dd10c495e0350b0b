/** A part of a long list. */
export interface Page<Row> {
  /** The number of rows that match the request. */
  readonly total: number
  readonly offset: number
  readonly rows: readonly Row[]
}
