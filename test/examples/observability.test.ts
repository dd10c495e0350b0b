import { expect, it, vi } from 'vitest'

it('the example of the page on observability shows spans, metrics and lines', async () => {
  const log = vi.spyOn(console, 'log').mockReturnValue()
  await import('../../examples/observability.js')
  const printed = log.mock.calls.map((parts) => parts.filter((part) => typeof part !== 'object').join(' '))
  vi.restoreAllMocks()
  expect(printed.filter((line) => line.startsWith('span'))).toEqual([
    'span submit report child 0',
    'span POST /reports root 0',
    'span ask a model child 0',
    'span attempt report root 1',
  ])
  expect(printed).toContain('metric messaging.process.duration')
  expect(printed).toContain('debug a task has completed')
})
