import { describe, expect, it } from 'vitest'
import { openFixture, openRuntime, refusal } from './support/registry.js'
import { job, startWork } from './support/work.js'

describe('the list of jobs', () => {
  it('shows the work of every session, with its progress, until its code has ended', async () => {
    const runtime = await openRuntime()
    const one = await startWork(runtime.session('one'))
    const two = await startWork(runtime.session('two'))
    one.context.progress('half', 0.5)
    expect(runtime.jobs.list()).toMatchObject([
      {
        id: one.id,
        room: 'operations',
        kind: 'background_tool_op',
        displayName: 'job',
        owner: 'one',
        state: 'working',
        progress: { message: 'half', fraction: 0.5 },
      },
      { id: two.id, owner: 'two', state: 'working' },
    ])
    one.result.resolve('done')
    await one.outcome
    expect(runtime.jobs.list().map(({ id }) => id)).toEqual([two.id])
    await two.cancel()
    expect(runtime.jobs.list()).toMatchObject([{ id: two.id, state: 'stopping' }])
    two.result.resolve('late')
    await expect.poll(() => runtime.jobs.size).toBe(0)
  })

  it('shows nothing that was refused, or ended before its work was called', async () => {
    const { session, runtime } = await openFixture({ maxConcurrent: 1 })
    const first = session.run(job, () => 'unused')
    const cancelled = first.cancel('at once')
    await refusal(session.run(job, () => 'unused').outcome)
    await cancelled
    expect(await first.outcome).toEqual({ type: 'cancelled', reason: 'at once' })
    expect(runtime.jobs.size).toBe(0)
  })
})
