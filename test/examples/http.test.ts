import { afterEach, expect, it, vi } from 'vitest'

afterEach(() => vi.restoreAllMocks())

it('the example of HTTP answers a question and follows the end, for those who have the token', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  const name = 'serve'
  await import(`../../examples/http/${name}.ts`)
  expect(log.mock.calls).toEqual([
    ['event: completion'],
    ['completed', { status: 'completed', output: { approved: true } }],
    [401],
  ])
})
