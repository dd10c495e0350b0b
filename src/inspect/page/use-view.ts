import { useEffect, useRef, useState } from 'preact/hooks'
import type { ViewOf, ViewRequest } from '../stream/protocol.js'
import { connection } from './connection.js'

/** Least milliseconds between two times that the same is asked. */
const pauseMs = 250

/** What was answered last, and why asking again has failed. */
export interface Shown<Answer> {
  readonly view: Answer | undefined
  readonly error: string | undefined
}

/**
 * Asks for a view and again whenever the server says that it has changed, at most four times a second; or, where `isOnce` says that
 * what follows is known otherwise, once for each stream. Until the answer is there the one before it stays, if it was of the same
 * view; an answer to an older question is dropped.
 */
export function useView<Request extends ViewRequest>(
  request: Request | undefined,
  isOnce = false,
): Shown<ViewOf<Request>> {
  const [shown, setShown] = useState<Shown<ViewOf<Request>>>({ view: undefined, error: undefined })
  const key = request === undefined ? '' : JSON.stringify(request)
  const version =
    request === undefined ? 0 : isOnce ? connection.hello.value?.stream : (connection.versions.value[request.view] ?? 0)
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
