import { createDeferred } from '../../../src/base/promises.js'
import type { Logger } from '../../../src/base/logger.js'

/** A logger that remembers what it was told at some levels, and tells when. */
export interface RecordingLogger extends Logger {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: object }[]
  /** Resolves once this many lines were written. */
  written(count: number): Promise<void>
}

const trouble = ['warn', 'error'] as const

/** The life of a service goes on at lower levels; unless asked for, only trouble is remembered. */
export function createRecordingLogger(levels: readonly (keyof Logger)[] = trouble): RecordingLogger {
  const lines: RecordingLogger['lines'] = []
  const waiting = new Map<number, () => void>()
  const log = (level: keyof Logger) => (fields: object, message: string) => {
    if (!levels.includes(level)) return
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
