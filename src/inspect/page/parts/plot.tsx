import type { JSX } from 'preact'
import { count } from './text.js'

interface Properties {
  readonly title: string
  readonly values: readonly number[]
  /** What is said in large letters; default: the last value. */
  readonly now?: string
}

const size = { width: 160, height: 36 }

/** A small line over time with its last value. */
export function Plot({ title, values, now }: Properties): JSX.Element {
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
        <polyline points={points.join(' ')} />
      </svg>
    </figure>
  )
}
