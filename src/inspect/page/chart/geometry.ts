/** A point of a drawing, in pixels from its upper left corner. */
export interface Point {
  readonly x: number
  readonly y: number
}

/** A rectangle of a drawing. */
export interface Box extends Point {
  readonly width: number
  readonly height: number
}
