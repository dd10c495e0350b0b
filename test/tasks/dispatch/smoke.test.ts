import { expect, it } from 'vitest'
import { openRoom } from './support/room.js'

it('runs a task', async () => {
  const room = await openRoom()
  room.tasks.handle('work', ({ json }) => ({ doubled: (json() as number) * 2 }))
  const id = await room.tasks.submit({ kind: 'work', payload: 21 })
  const outcome = await room.tasks.outcome(id)
  expect(outcome).toMatchObject({ status: 'completed' })
  expect(Buffer.from(outcome.output ?? []).toString()).toBe('{"doubled":42}')
})
