import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

/** The height of a row in pixels, on wide and on narrow screens; must match the style sheet. */
const heights = { wide: 36, narrow: 60 }
const narrow = matchMedia('(max-width: 700px)')
const spare = 12

function useRowHeight(): number {
  const [isNarrow, setNarrow] = useState(narrow.matches)
  useEffect(() => {
    const onChange = (): void => setNarrow(narrow.matches)
    narrow.addEventListener('change', onChange)
    return () => narrow.removeEventListener('change', onChange)
  }, [])
  return isNarrow ? heights.narrow : heights.wide
}

interface Properties<Row> {
  /** The total number of rows. */
  readonly total: number
  /** The index of the first of `rows`. */
  readonly offset: number
  readonly rows: readonly Row[]
  readonly label: string
  /** The text for an empty list. */
  readonly empty: string
  /** Called when other rows come into view. */
  readonly onWindow: (offset: number, limit: number) => void
  readonly children: (row: Row, index: number) => ComponentChildren
  readonly keyOf: (row: Row) => string
  /** A header above the rows, which does not scroll. */
  readonly head?: ComponentChildren
  /** Keeps a view that is scrolled to the end there when rows are added. */
  readonly isFollowed?: boolean
}

/**
 * A long list that renders only the rows in view, so that ten thousand rows cost as much as twenty. The scroll bar
 * covers the whole list, and rows are requested as they come into view. With the keyboard, Tab enters and leaves the
 * list, and the arrow keys, Page Up, Page Down, Home and End move between rows.
 */
export function Rows<Row>(properties: Properties<Row>): JSX.Element {
  const { total, offset, rows, label, empty, onWindow, children, keyOf, head, isFollowed = false } = properties
  const rowHeight = useRowHeight()
  const frame = useRef<HTMLDivElement>(null)
  const [first, setFirst] = useState(0)
  const [height, setHeight] = useState(600)
  /** The row that Tab leads to, and the row that gets the focus as soon as it is rendered. */
  const [at, setAt] = useState(0)
  const isAtEnd = useRef(isFollowed)
  const goal = useRef<number | undefined>(undefined)

  useLayoutEffect(() => {
    const element = frame.current
    if (element === null) return undefined
    const observer = new ResizeObserver(() => setHeight(element.clientHeight))
    observer.observe(element)
    return () => observer.disconnect()
  }, [total === 0])

  const inSight = Math.ceil(height / rowHeight)
  const from = Math.max(0, first - spare)
  const limit = Math.min(500, inSight + 2 * spare)
  useEffect(() => onWindow(from, limit), [from, limit])

  const shown = rows
    .map((row, index) => [row, offset + index] as const)
    .filter(([, index]) => index >= from && index < from + limit)
  // The whole list is one tab stop.
  useLayoutEffect(() => {
    const row = frame.current?.querySelector(`[aria-posinset="${at + 1}"]`)
    for (const link of frame.current?.querySelectorAll('a') ?? []) link.tabIndex = row?.contains(link) ? 0 : -1
    reach()
  })

  function reach(): void {
    if (goal.current === undefined) return
    const link = frame.current?.querySelector<HTMLElement>(`[aria-posinset="${goal.current + 1}"] a`)
    if (link === null || link === undefined) return
    goal.current = undefined
    link.focus({ preventScroll: true })
  }

  useLayoutEffect(() => {
    if (frame.current !== null && isFollowed && isAtEnd.current) frame.current.scrollTop = frame.current.scrollHeight
  })

  const onKeyDown = (event: KeyboardEvent): void => {
    const page = Math.max(1, inSight - 1)
    // A live list may have been reordered since.
    const row = event.target instanceof Element ? event.target.closest('[aria-posinset]') : null
    const here = row === null ? at : Number(row.getAttribute('aria-posinset')) - 1
    const to = {
      ArrowDown: row === null ? here : here + 1,
      ArrowUp: here - 1,
      PageDown: here + page,
      PageUp: here - page,
      Home: 0,
      End: total - 1,
    }[event.key]
    const element = frame.current
    if (to === undefined || element === null || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    const next = Math.max(0, Math.min(total - 1, to))
    goal.current = next
    setAt(next)
    const [top, bottom] = [next * rowHeight, (next + 1) * rowHeight]
    if (top < element.scrollTop) element.scrollTop = top
    else if (bottom > element.scrollTop + element.clientHeight) element.scrollTop = bottom - element.clientHeight
    reach()
  }

  if (total === 0) return <p class="quiet empty">{empty}</p>
  return (
    <div
      class="rows"
      ref={frame}
      role="list"
      tabIndex={0}
      aria-label={label}
      onKeyDown={onKeyDown}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        isAtEnd.current = scrollTop + clientHeight > scrollHeight - rowHeight
        setFirst(Math.floor(scrollTop / rowHeight))
      }}
    >
      {head}
      <div class="rows-all" style={{ height: `${total * rowHeight}px` }}>
        {shown.map(([row, index]) => (
          <div
            class="row"
            role="listitem"
            aria-setsize={total}
            aria-posinset={index + 1}
            key={keyOf(row)}
            style={{ top: `${index * rowHeight}px` }}
            onFocusIn={() => setAt(index)}
          >
            {children(row, index)}
          </div>
        ))}
      </div>
    </div>
  )
}
