import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRuntime, type Runtime } from '../../src/runtime.js'
import type { Session } from '../../src/operations/session.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { AgentLoop } from './support/agent-loop.js'
import { complete, passTime, run, settled, start } from './support/background.js'

let clock: SimulatedClock
let runtime: Runtime
let session: Session

beforeEach(async () => {
  clock = new SimulatedClock()
  runtime = await createRuntime({ clock })
  session = runtime.session('agent')
})
afterEach(async () => {
  await runtime.close({ policy: 'terminate' })
  expect(clock.pendingTimeouts).toBe(0)
})

const observed = (): number => session.operations.completionCursor('runtime_observed')
const injected = (): number => session.operations.completionCursor('runtime_injected')
const pass = (milliseconds: number): Promise<void> => passTime(clock, milliseconds)

const continuation = expect.objectContaining({ reason: 'detached_background_op_completed' })

describe('an agent loop that is woken', () => {
  it('[O-77] runs exactly one continuation after a background completion, with no other trigger', async () => {
    using loop = new AgentLoop(session)
    await run(session)
    await settled()
    await pass(3000)
    expect(loop.runs).toMatchObject([{ input: continuation }])
  })

  it('[O-77] runs an ordinary input and one continuation when both a completion and an input arrive', async () => {
    using loop = new AgentLoop(session)
    const id = await start(session)
    const completed = complete(session, id)
    const submitted = loop.submit('hello')
    await Promise.all([completed, submitted])
    await settled()
    expect(loop.runs).toMatchObject([{ input: 'hello' }, { input: continuation }])
  })

  it('[O-77] runs one continuation for five completions before an ordinary input', async () => {
    using loop = new AgentLoop(session)
    const ids = [await start(session), await start(session), await start(session), await start(session)]
    ids.push(await start(session))
    const completed = ids.map((id) => complete(session, id))
    const submitted = loop.submit('hello')
    await Promise.all([...completed, submitted])
    await settled()
    await pass(3000)
    expect(loop.runs).toMatchObject([{ input: 'hello' }, { input: { throughSeq: 5 } }])
  })

  it('[O-78] learns of a completion during a run when the run has ended, without waiting for a timer', async () => {
    using loop = new AgentLoop(session)
    const release = loop.holdRuns()
    const submitted = loop.submit('hello')
    await run(session)
    await settled()
    expect(loop.runs).toMatchObject([{ input: 'hello' }])
    release()
    await submitted
    await settled()
    expect(loop.runs).toMatchObject([{ input: 'hello' }, { input: continuation }])
  })

  it('[O-78] learns of a completion during a continuation when that has ended', async () => {
    using loop = new AgentLoop(session)
    const release = loop.holdRuns()
    await run(session)
    await settled()
    await run(session)
    await settled()
    expect(loop.runs).toMatchObject([{ input: { throughSeq: 1 } }])
    release()
    await settled()
    expect(loop.runs).toMatchObject([{ input: { throughSeq: 1 } }, { input: { throughSeq: 2 } }])
  })

  it('[O-79] never continues for a member child', async () => {
    using loop = new AgentLoop(session)
    await run(session, 'child', 'mob_member_child')
    await settled()
    await pass(3000)
    expect(loop.runs).toEqual([])
    expect(observed()).toBe(1)
  })

  it('[O-67] [O-79] wakes for the background row between rows that wake nobody', async () => {
    using loop = new AgentLoop(session, { showsCompletions: true })
    await Promise.all([
      run(session, 'child', 'mob_member_child'),
      run(session, 'job'),
      run(session, 'other child', 'mob_member_child'),
    ])
    await settled()
    expect(session.feed.since(0).entries.map(({ kind }) => kind)).toEqual([
      'mob_member_child',
      'background_tool_op',
      'mob_member_child',
    ])
    expect(loop.runs).toMatchObject([{ input: { throughSeq: 3 }, shown: ['job'] }])
  })

  it('[O-86] is not woken for what a run has shown already', async () => {
    using loop = new AgentLoop(session, { showsCompletions: true })
    const release = loop.holdRuns()
    const submitted = loop.submit('hello')
    await run(session, 'job')
    await settled()
    release()
    await submitted
    await settled()
    await pass(3000)
    expect(loop.runs).toEqual([{ input: 'hello', shown: ['job'] }])
    expect(observed()).toBe(1)
    expect(injected()).toBe(0)
  })

  it('loses nothing and repeats nothing over sixty completions before, during and after runs', async () => {
    using loop = new AgentLoop(session, { showsCompletions: true })
    for (let round = 0; round < 60; round += 1) {
      const release = round % 3 === 0 ? loop.holdRuns() : () => {}
      const submitted = round % 4 === 0 ? loop.submit(`prompt ${round}`) : undefined
      await run(session, `job ${round}`)
      if (round % 5 === 0) await settled()
      release()
      await submitted
    }
    await settled()
    await pass(2000)
    const shown = loop.runs.flatMap((each) => each.shown)
    expect(shown).toEqual(Array.from({ length: 60 }, (_, round) => `job ${round}`))
  })
})
