import type { ReadonlySignal } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'

/** Minimum milliseconds between two renderings. */
const pauseMs = 200

/** A value that changes with every frame, throttled to a few times a second: for what is costly to draw. */
export function usePaced<Value>(source: ReadonlySignal<Value>): Value {
  const [value, setValue] = useState(source.peek())
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const stop = source.subscribe(() => {
      timer ??= setTimeout(() => {
        timer = undefined
        setValue(source.peek())
      }, pauseMs)
    })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }, [source])
  return value
}
