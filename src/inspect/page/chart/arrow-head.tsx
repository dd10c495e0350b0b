import type { JSX } from 'preact'

/** The definition of the arrow head, once per drawing: `marker-end="url(#arrow)"`. */
export function ArrowHead(): JSX.Element {
  return (
    <defs>
      <marker
        id="arrow"
        viewBox="0 0 8 8"
        refX="7"
        refY="4"
        markerWidth="8"
        markerHeight="8"
        orient="auto-start-reverse"
      >
        <path d="M0,0 L8,4 L0,8 z" />
      </marker>
    </defs>
  )
}
