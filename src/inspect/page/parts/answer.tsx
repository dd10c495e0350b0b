import type { ComponentChildren, JSX } from 'preact'
import type { Shown } from '../use-view.js'

interface Properties<Answer> {
  readonly of: Shown<Answer>
  readonly children: (view: Answer) => ComponentChildren
}

/** Shows an answer, or that it is still awaited, or why there is none. */
export function Answered<Answer>({ of, children }: Properties<Answer>): JSX.Element {
  return (
    <>
      {of.error !== undefined && (
        <p class="notice" role="alert">
          {of.error}
        </p>
      )}
      {of.view === undefined ? of.error === undefined && <p class="quiet">loading…</p> : children(of.view)}
    </>
  )
}
