import { useEffect, useRef, useState } from 'preact/hooks'
import type { ViewOf, ViewRequest } from '../stream/protocol.js'
import { connection } from './connection.js'

/** Minimum milliseconds between two identical requests. */
const pauseMs = 250

/** The last answer, and why the latest request failed. */
export interface Shown<Answer> {
  readonly view: Answer | undefined
  readonly error: string | undefined
}

/** Whether a view of the past is requested. A time that the stream has not reached is not the past. */
function isPast(request: ViewRequest): boolean {
  return 'at' in request && request.at !== undefined && request.at <= connection.newest
}

/**
 * Requests a view, and again whenever the server reports that it has changed, at most four times a second; once per
 * stream for the past, which does not change, and with `isOnce`, for views whose changes are known otherwise. The previous answer of the same view is kept
 * until the new one arrives; answers to outdated requests are dropped.
 */
export function useView<Request extends ViewRequest>(
  request: Request | undefined,
  isOnce = false,
): Shown<ViewOf<Request>> {
  const [shown, setShown] = useState<Shown<ViewOf<Request>>>({ view: undefined, error: undefined })
  const key = request === undefined ? '' : JSON.stringify(request)
  const version =
    request === undefined
      ? 0
      : isOnce || isPast(request)
        ? connection.hello.value?.stream
        : (connection.versions.value[request.view] ?? 0)
  const wanted = useRef(key)
  const last = useRef({ key: '', atMs: 0 })
  wanted.current = key

  useEffect(() => {
    if (request === undefined) return undefined
    const sinceMs = performance.now() - last.current.atMs
    const ask = async (): Promise<void> => {
      last.current = { key, atMs: performance.now() }
      let answer: Shown<ViewOf<Request>>
      try {
        answer = { view: await connection.ask(request), error: undefined }
      } catch (error) {
        answer = { view: undefined, error: error instanceof Error ? error.message : String(error) }
      }
      if (wanted.current !== key) return
      setShown((before) => (answer.view === undefined ? { ...before, error: answer.error } : answer))
    }
    const timer = setTimeout(() => void ask(), last.current.key === key ? Math.max(0, pauseMs - sinceMs) : 0)
    return () => clearTimeout(timer)
  }, [key, version])
  useEffect(() => () => void (wanted.current = ''), [])

  return shown.view?.view === request?.view ? shown : { view: undefined, error: shown.error }
}
