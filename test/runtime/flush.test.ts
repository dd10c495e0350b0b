import { describe, expect, it } from 'vitest'
import { createRuntime } from '../../src/runtime.js'
import { ScriptedJournal, settleReactions, storeOf } from '../lane/support/scripted-journal.js'

async function runningOperation() {
  const journal = new ScriptedJournal()
  const runtime = await createRuntime({ store: storeOf(journal) })
  const session = runtime.session('s')
  await journal.sync()
  session.run({ kind: 'background_tool_op', displayName: 'work' }, () => new Promise(() => {}))
  await settleReactions()
  return { journal, session }
}

describe('the flush of a session', () => {
  it('waits until the start of an operation is durable', async () => {
    const { journal, session } = await runningOperation()
    let isFlushed = false
    const flushed = session.flush().then(() => (isFlushed = true))
    await settleReactions()
    expect([isFlushed, journal.stored.length]).toEqual([false, 1])
    await journal.sync()
    await flushed
    expect(journal.stored.map(({ record }) => (record as [string, { type: string }])[1].type)).toEqual([
      'session_opened',
      'operation_registered',
      'operation_started',
    ])
  })

  it('rejects when the journal refuses the start, and resolves once it has been written after all', async () => {
    const { journal, session } = await runningOperation()
    const refused = session.flush()
    await journal.fail('journal_not_appended')
    await expect(refused).rejects.toMatchObject({ code: 'lane_not_appended' })
    const again = session.flush()
    await journal.sync()
    await again
    expect(journal.stored).toHaveLength(3)
  })
})
