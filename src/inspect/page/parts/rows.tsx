import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

/** Height of one row, in pixels; the style sheet says the same. */
export const rowHeight = 36
const spare = 12

interface Properties<Row> {
  /** How many rows there are in all. */
  readonly total: number
  /** Where `rows` begin. */
  readonly offset: number
  readonly rows: readonly Row[]
  readonly label: string
  /** Called when other rows come into sight. */
  readonly onWindow: (offset: number, limit: number) => void
  readonly children: (row: Row, index: number) => ComponentChildren
  readonly keyOf: (row: Row) => string
}

/**
 * A long list of which only the rows in sight exist, so that ten thousand cost what twenty do. The scroll bar is that of the whole; what comes
 * into sight is asked for.
 */
export function Rows<Row>(properties: Properties<Row>): JSX.Element {
  const { total, offset, rows, label, onWindow, children, keyOf } = properties
  const frame = useRef<HTMLDivElement>(null)
  const [first, setFirst] = useState(0)
  const [height, setHeight] = useState(600)

  useLayoutEffect(() => {
    const element = frame.current
    if (element === null) return undefined
    const observer = new ResizeObserver(() => setHeight(element.clientHeight))
    observer.observe(element)
    return () => observer.disconnect()
  }, [])

  const inSight = Math.ceil(height / rowHeight)
  const from = Math.max(0, first - spare)
  const limit = Math.min(500, inSight + 2 * spare)
  useEffect(() => onWindow(from, limit), [from, limit])

  const shown = rows
    .map((row, index) => [row, offset + index] as const)
    .filter(([, index]) => index >= from && index < from + limit)
  return (
    <div
      class="rows"
      ref={frame}
      role="list"
      tabIndex={0}
      aria-label={label}
      onScroll={({ currentTarget }) => setFirst(Math.floor(currentTarget.scrollTop / rowHeight))}
    >
      <div class="rows-all" style={{ height: `${total * rowHeight}px` }}>
        {shown.map(([row, index]) => (
          <div
            class="row"
            role="listitem"
            aria-setsize={total}
            aria-posinset={index + 1}
            key={keyOf(row)}
            style={{ top: `${index * rowHeight}px` }}
          >
            {children(row, index)}
          </div>
        ))}
      </div>
    </div>
  )
}
