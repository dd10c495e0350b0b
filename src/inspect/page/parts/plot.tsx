import type { JSX } from 'preact'
import { count, duration } from './text.js'

interface Properties {
  readonly title: string
  readonly values: readonly number[]
  /** The text in large letters; default: the last value. */
  readonly now?: string
  /** Milliseconds from the first value to the last. */
  readonly spanMs: number
}

const size = { width: 160, height: 48 }

/** A small line chart over time, with its last value, its maximum and its time span. */
export function Plot({ title, values, now, spanMs }: Properties): JSX.Element {
  const most = Math.max(1, ...values)
  const step = size.width / Math.max(1, values.length - 1)
  const points = values.map(
    (value, index) =>
      `${(index * step).toFixed(1)},${(size.height - (value / most) * (size.height - 2) - 1).toFixed(1)}`,
  )
  return (
    <figure class="plot">
      <figcaption>
        {title} <strong>{values.length === 0 ? '…' : (now ?? count(values.at(-1) ?? 0))}</strong>
      </figcaption>
      <svg
        viewBox={`0 0 ${size.width} ${size.height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${title} over time, at most ${count(most)}`}
      >
        {points.length > 1 && <polygon points={`0,${size.height} ${points.join(' ')} ${size.width},${size.height}`} />}
        <polyline points={points.join(' ')} />
      </svg>
      <p class="quiet scale">
        <span>{points.length > 1 ? `last ${duration(spanMs)}` : 'just begun'}</span>
        <span>max {count(Math.ceil(Math.max(0, ...values)))}</span>
      </p>
    </figure>
  )
}
