import { expect, it, vi } from 'vitest'

it('the example of chart walks goes through every transition with a registry', async () => {
  const log = vi.spyOn(console, 'log').mockReturnValue()
  await import('../../examples/testing/chart-walks.js')
  const walks = log.mock.calls.map(([text]) => text as string)
  log.mockRestore()
  expect(walks.toSorted()).toEqual([
    'provisioning -cancel-> cancelled',
    'provisioning -start-> running',
    'provisioning -start-> running -cancel-> cancelled',
    'provisioning -start-> running -retire_completed-> retired',
    'provisioning -start-> running -retire_requested-> retiring',
    'provisioning -start-> running -retire_requested-> retiring -cancel-> cancelled',
    'provisioning -start-> running -retire_requested-> retiring -retire_completed-> retired',
  ])
})
