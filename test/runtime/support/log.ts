import { createDeferred } from '../../../src/base/promises.js'
import type { Logger } from '../../../src/base/logger.js'

/** A logger that remembers what it was told, and tells when. */
export interface RecordingLogger extends Logger {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: object }[]
  /** Resolves once this many lines were written. */
  written(count: number): Promise<void>
}

export function createRecordingLogger(): RecordingLogger {
  const lines: RecordingLogger['lines'] = []
  const waiting = new Map<number, () => void>()
  const log = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields })
    waiting.get(lines.length)?.()
  }
  return {
    lines,
    written: (count) => {
      const reached = createDeferred<void>()
      if (lines.length >= count) reached.resolve()
      else waiting.set(count, reached.resolve)
      return reached.promise
    },
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
  }
}
