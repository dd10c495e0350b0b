/** A part of a long list. */
export interface Page<Row> {
  /** How many there are that fit what was asked. */
  readonly total: number
  readonly offset: number
  readonly rows: readonly Row[]
}
