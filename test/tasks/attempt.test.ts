import { describe, expect, it } from 'vitest'
import { encodeBytes, failed, runStates, succeeded, suspended, timedOut } from '../../src/tasks/index.js'
import { finish, move, reach, start } from './support/commands.js'
import { A1, A2, R1 } from './support/ids.js'
import { given } from './support/specification.js'

describe('attempt_start', () => {
  it('[T-11] opens an attempt in a running run', () =>
    given(reach.running)
      .when(start())
      .accepts({
        event: { type: 'attempt_started', runId: R1, attemptId: A1, atMs: 120 },
        applied: { type: 'attempt_start', runId: R1, attemptId: A1 },
        then: (projection) =>
          expect(projection.run(R1)).toMatchObject({
            currentAttemptId: A1,
            attemptCount: 1,
            attempts: [{ attemptId: A1, startedAtMs: 120 }],
          }),
      }))

  it('[T-11] refuses an unknown run, a run that is not running, and a second attempt', async () => {
    await given().when(start()).refuses('attempt_start_unknown_run', { runId: R1 })
    for (const state of runStates.filter((state) => state !== 'running')) {
      await given(reach[state]).when(start()).refuses('attempt_start_requires_running', { runId: R1, state })
    }
    await given(reach.running, start())
      .when(start(A2))
      .refuses('attempt_start_already_active', { runId: R1, activeAttemptId: A1 })
  })

  it('[T-27, T-11] refuses an id that was used before', () =>
    given(reach.running, start(), finish()).when(start(A1)).refuses('attempt_id_reused', { runId: R1, attemptId: A1 }))
})

describe('attempt_finish', () => {
  const running = [...reach.running, start()]
  const output = encodeBytes(new Uint8Array([0, 255, 7]))

  it.each([
    ['success with output', succeeded(new Uint8Array([0, 255, 7])), { result: 'success', output }],
    ['success without output', succeeded(), { result: 'success' }],
    ['a retryable failure', failed('no', 'retryable'), { result: 'failure', error: 'no', failureClass: 'retryable' }],
    ['a terminal failure', failed('', 'terminal'), { result: 'failure', error: '', failureClass: 'terminal' }],
    ['partial state', suspended(output), { result: 'suspended', output }],
  ] as const)('[T-131] stores %s durably', (_, outcome, fields) =>
    given(running)
      .when(finish(A1, outcome))
      .accepts({
        event: { type: 'attempt_finished', runId: R1, attemptId: A1, atMs: 130, ...fields },
        applied: { type: 'attempt_finish', runId: R1, attemptId: A1, outcome: fields },
        then: (projection) => {
          expect(projection.run(R1)).not.toHaveProperty('currentAttemptId')
          expect(projection.run(R1)?.attempts).toEqual([
            { attemptId: A1, startedAtMs: 120, finishedAtMs: 130, outcome: fields },
          ])
        },
      }),
  )

  it('[T-14] stores a timeout with a text that names the milliseconds', () =>
    given(running)
      .when(finish(A1, timedOut(45)))
      .accepts({
        then: (projection) => {
          const outcome = projection.run(R1)?.attempts[0]?.outcome
          expect(outcome).toMatchObject({ result: 'timeout' })
          expect(outcome).toHaveProperty('error', expect.stringContaining('45 milliseconds'))
        },
      }))

  it('[T-12] refuses the id of another attempt and names both; the active one stays', () =>
    given(running).when(finish(A2)).refuses('attempt_finish_attempt_mismatch', {
      runId: R1,
      expectedAttemptId: A1,
      providedAttemptId: A2,
    }))

  it('[T-13] refuses to finish twice', () =>
    given(running, finish()).when(finish()).refuses('attempt_finish_missing_active', { runId: R1 }))

  it('[T-40] refuses an unknown run and a run that is not running', async () => {
    await given().when(finish()).refuses('attempt_finish_unknown_run', { runId: R1 })
    for (const state of runStates.filter((state) => state !== 'running')) {
      await given(reach[state]).when(finish()).refuses('attempt_finish_requires_running', { runId: R1, state })
    }
    await given(running, move('running', 'cancelled'))
      .when(finish())
      .refuses('attempt_finish_requires_running', { runId: R1, state: 'cancelled' })
  })

  it('[T-110] refuses an outcome whose parts do not fit together', async () => {
    const when = (outcome: object) => given(running).when(finish(A1, outcome as never))
    await when({ result: 'success', error: 'x' }).refuses('success_with_error', { result: 'success', error: 'x' })
    await when({ result: 'failure' }).refuses('non_success_without_error', { result: 'failure' })
    await when({ result: 'timeout', error: 'x', output }).refuses('non_success_with_output', { result: 'timeout' })
    await when({ result: 'failure', error: 'x' }).refuses('failure_without_class', {})
    await when({ result: 'timeout', error: 'x', failureClass: 'terminal' }).refuses('class_without_failure', {
      result: 'timeout',
    })
    await when({ result: 'done' }).isInvalid('outcome.result')
    await when({ result: 'success', output: 'not base64!' }).isInvalid('outcome.output')
  })
})
