import { describe, expect, it, vi } from 'vitest'
import type { Logger } from '../../src/base/logger.js'
import { createObserverGuard, guardedLogger, guardedObserver } from '../../src/base/observers.js'
import { createRecordingLogger } from '../runtime/support/log.js'
import { unhandledDuring } from '../support/unhandled.js'

describe('a guarded observer', () => {
  it('is called with what happens, and what it throws is reported the first time and never felt', () => {
    const logger = createRecordingLogger()
    const heard: number[] = []
    const observe = guardedObserver(
      (value: number) => {
        heard.push(value)
        throw new Error(`broken by ${value}`)
      },
      logger,
      'an observer threw',
    )
    for (const value of [1, 2, 3]) observe(value)
    expect(heard).toEqual([1, 2, 3])
    expect(logger.lines).toEqual([
      {
        level: 'error',
        message: 'an observer threw',
        fields: { error: 'broken by 1', cause: expect.objectContaining({ message: 'broken by 1' }) },
      },
    ])
  })

  it('that is asynchronous may reject: that is no unhandled rejection', async () => {
    const logger = createRecordingLogger()
    const observe = guardedObserver(async () => Promise.reject(new Error('later')), logger, 'an observer threw')
    expect(await unhandledDuring(observe)).toEqual([])
    expect(logger.lines).toMatchObject([{ level: 'error', fields: { error: 'later' } }])
  })

  it('shares its one report with whoever stands behind the same guard, and with nobody else', () => {
    const logger = createRecordingLogger()
    const [one, other] = [createObserverGuard(logger, 'one'), createObserverGuard(logger, 'other')]
    const breaks = (): never => {
      throw new Error('broken')
    }
    one(breaks)
    one(breaks)
    other(breaks)
    expect(logger.lines.map(({ message }) => message)).toEqual(['one', 'other'])
  })
})

describe('a guarded logger', () => {
  const breaking = (): Logger & { calls: number } => {
    const log = (): never => {
      logger.calls += 1
      throw new Error('no space')
    }
    const logger = { calls: 0, debug: log, info: log, warn: log, error: log }
    return logger
  }

  it('passes everything on and never throws; the process is warned once', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue()
    const logger = breaking()
    const guarded = guardedLogger(logger)
    for (const level of ['debug', 'info', 'warn', 'error'] as const) guarded[level]({}, 'text')
    expect(logger.calls).toBe(4)
    expect(warned.mock.calls).toEqual([['the logger of stateward threw: no space']])
    warned.mockRestore()
  })

  it('is one and the same however often it is asked for', () => {
    const logger = breaking()
    const guarded = guardedLogger(logger)
    expect(guardedLogger(logger)).toBe(guarded)
    expect(guardedLogger(guarded)).toBe(guarded)
  })

  it('reports what an observer throws to a logger that throws too: nobody feels either', () => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue()
    const guard = createObserverGuard(breaking(), 'an observer threw')
    expect(() =>
      guard(() => {
        throw new Error('broken')
      }),
    ).not.toThrow()
    expect(warned).toHaveBeenCalledTimes(1)
    warned.mockRestore()
  })
})
