import { beforeEach, describe, expect, it } from 'vitest'
import {
  createTaskSpec,
  type AttemptId,
  type CommandOf,
  type CommandType,
  type RunId,
  type TaskId,
} from '../../../src/tasks/index.js'
import { openRoom, start, type Room } from '../dispatch/support/room.js'
import { attemptId, reservationId, taskId } from '../support/ids.js'

const atMs = start
const token = 'token' as never
let room: Room
let run: { runId: RunId; attemptId: AttemptId; fencingToken: number }
let parent: TaskId

/** A run under way, by hand. */
beforeEach(async () => {
  room = await openRoom()
  parent = await room.tasks.submit({ kind: 'work', budgets: { token: 10 } })
  const runId = room.runsOf(parent)[0]?.id as RunId
  const { applied } = await room.authority.transact((batch) => {
    batch.submit({ type: 'run_state_transition', runId, previousState: 'scheduled', newState: 'ready', atMs })
    return batch.submit({
      type: 'attempt_begin',
      runId,
      attemptId: attemptId(1),
      owner: 'host',
      expiresAtMs: start + 9,
      atMs,
    })
  })
  run = { runId, attemptId: attemptId(1), fencingToken: applied.fencingToken }
})

async function codeOf<Type extends CommandType>(command: CommandOf<Type>): Promise<string | undefined> {
  const before = room.authority.projection.latestSequence
  try {
    await room.authority.submit(command)
  } catch (refusal) {
    expect(room.authority.projection.latestSequence).toBe(before)
    return (refusal as { code: string }).code
  }
  return undefined
}

const end = (): Promise<unknown> =>
  room.authority.submit({ type: 'attempt_end', ...run, outcome: { result: 'success' }, newState: 'completed', atMs })

describe('[T-256] commands of durable work', () => {
  it('step_record: an attempt, its token, one record, and spending that adds up', async () => {
    const { attemptId: _, ...lease } = run
    const step = { type: 'step_record', ...lease, key: 'step:a', atMs } as const
    expect(await codeOf({ ...step, runId: run.attemptId as never })).toBe('unknown_run')
    expect(await codeOf({ type: 'step_record', runId: run.runId, key: 'a', atMs })).toBe('fencing_token_required')
    expect(await codeOf({ ...step, fencingToken: 1 })).toBe('fencing_token_superseded')
    expect(await codeOf({ ...step, output: '{' })).toBe('invalid_input')
    expect(await codeOf({ ...step, settlements: [{ reservationId: reservationId(1), amount: 1 }] })).toBe(
      'unknown_reservation',
    )
    expect(await codeOf({ ...step, consumptions: [{ dimension: token, amount: 0 }] })).toBe('zero_amount')
    expect(await codeOf({ ...step, consumptions: [{ dimension: 'cost:usd' as never, amount: 1 }] })).toBe(
      'budget_not_allocated',
    )
    expect(await codeOf({ ...step, output: '1', consumptions: [{ dimension: token, amount: 3 }] })).toBe(undefined)
    expect(room.authority.projection.budget(parent, token)?.consumed).toBe(3)
    expect(await codeOf(step)).toBe('step_already_recorded')
    await end()
    expect(await codeOf({ ...step, key: 'step:b' })).toBe('no_active_attempt')
  })

  it('wait_begin and wait_end: an attempt, its token, one wait of a key, an end that fits, and once', async () => {
    const { attemptId: _, ...lease } = run
    const wait = { type: 'wait_begin', ...lease, atMs } as const
    const question = { ...wait, key: 'wait:a', subject: { type: 'answer', name: 'a' } } as const
    expect(await codeOf({ ...question, fencingToken: 1 })).toBe('fencing_token_superseded')
    expect(await codeOf(question)).toBe(undefined)
    expect(await codeOf(question)).toBe('wait_already_begun')
    expect(await codeOf({ ...wait, key: 'call', subject: { type: 'call', childTaskId: parent } })).toBe('unknown_task')
    const taskSpec = createTaskSpec({ id: taskId(7), kind: 'child', parentTaskId: parent })
    await room.authority.submit({ type: 'task_create', taskSpec, atMs })
    expect(await codeOf({ ...wait, key: 'call', subject: { type: 'call', childTaskId: taskId(7) } })).toBe(undefined)
    expect(await codeOf({ ...wait, key: 'sleep', subject: { type: 'time', untilMs: 5 } })).toBe(undefined)

    const { runId } = run
    const over = { type: 'wait_end', runId, atMs } as const
    expect(await codeOf({ ...over, key: 'b' })).toBe('unknown_wait')
    expect(await codeOf({ ...over, key: 'wait:a' })).toBe('wait_ends_otherwise')
    expect(await codeOf({ ...over, key: 'wait:a', isTimedOut: true })).toBe('wait_ends_otherwise')
    expect(await codeOf({ ...over, key: 'call' })).toBe('wait_ends_otherwise')
    expect(await codeOf({ ...over, key: 'sleep', isTimedOut: true })).toBe('wait_ends_otherwise')
    expect(await codeOf({ ...over, key: 'sleep' })).toBe(undefined)
    expect(await codeOf({ ...over, key: 'sleep' })).toBe('wait_already_ended')
    await room.authority.submit({ type: 'task_cancel', taskId: taskId(7), atMs })
    expect(await codeOf({ ...over, key: 'call' })).toBe(undefined)
    await end()
    expect(await codeOf({ ...over, key: 'wait:a' })).toBe('wait_already_ended')
    expect([...room.authority.projection.openWaits()]).toEqual([])
  })

  it('attempt_wait and attempt_go_on: as the chart says, and a wait that ends lets the attempt go on', async () => {
    const wait = { type: 'attempt_wait', ...run, atMs } as const
    const goOn = { type: 'attempt_go_on', ...run, atMs } as const
    const { runId, fencingToken } = run
    expect(await codeOf({ ...wait, fencingToken: 1 })).toBe('fencing_token_superseded')
    expect(await codeOf(goOn)).toBe('waiting_unchanged')
    expect(await codeOf(wait)).toBe(undefined)
    expect(await codeOf(wait)).toBe('waiting_unchanged')
    expect(await codeOf(goOn)).toBe(undefined)
    const begin = { type: 'wait_begin', runId, fencingToken, isWaiting: true, atMs } as const
    await room.authority.submit({ ...begin, key: 'sleep', subject: { type: 'time', untilMs: 5 } })
    expect(room.authority.projection.run(runId)?.isWaiting).toBe(true)
    await room.authority.submit({ type: 'wait_end', runId, key: 'sleep', atMs })
    expect(room.authority.projection.run(runId)?.isWaiting).toBe(undefined)
    await end()
    expect(await codeOf(wait)).toBe('no_active_attempt')
  })

  it('question_answer: kept until it is asked, given once, and refused when nobody will ask', async () => {
    const { runId, fencingToken } = run
    const answer = { type: 'question_answer', taskId: parent, name: 'a', value: '1', atMs } as const
    expect(await codeOf({ ...answer, taskId: taskId(9) })).toBe('unknown_task')
    expect(await codeOf(answer)).toBe(undefined)
    expect(await codeOf(answer)).toBe('question_already_answered')
    const subject = { type: 'answer', name: 'a' } as const
    await room.authority.submit({
      type: 'wait_begin',
      runId,
      fencingToken,
      isWaiting: true,
      key: 'wait:a',
      subject,
      atMs,
    })
    expect(room.authority.projection.wait(runId, 'wait:a')?.end).toEqual({ type: 'answered', value: '1' })
    expect(room.authority.projection.run(runId)?.isWaiting).toBe(undefined)
    expect(await codeOf(answer)).toBe('question_already_answered')
    await room.authority.submit({ type: 'wait_begin', runId, fencingToken, key: 'wait:a#2', subject, atMs })
    expect(await codeOf(answer)).toBe(undefined)
    await end()
    expect(await codeOf(answer)).toBe('answer_too_late')
  })

  it('a refusal within a batch leaves nothing of it: early answers, questions and waits stand as before', async () => {
    const { runId, fencingToken } = run
    await room.authority.submit({ type: 'question_answer', taskId: parent, name: 'a', value: '1', atMs })
    const before = [...room.authority.capture()]
    const subject = { type: 'answer', name: 'a' } as const
    const refused = room.authority.transact((batch) => {
      batch.submit({ type: 'wait_begin', runId, fencingToken, key: 'wait:a', subject, isWaiting: true, atMs })
      batch.submit({ type: 'step_record', runId, fencingToken, key: 'step:a', atMs })
      throw new Error('no')
    })
    await expect(refused).rejects.toThrow('no')
    expect([...room.authority.capture()]).toEqual(before)
    expect(await codeOf({ type: 'question_answer', taskId: parent, name: 'a', atMs })).toBe('question_already_answered')
  })
})
