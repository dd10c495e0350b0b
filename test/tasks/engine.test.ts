import { expect, it } from 'vitest'
import type { CommandOf } from '../../src/tasks/index.js'
import { given } from './support/specification.js'

const pause = (atMs: number): CommandOf<'engine_pause'> => ({ type: 'engine_pause', atMs })
const resume = (atMs: number): CommandOf<'engine_resume'> => ({ type: 'engine_resume', atMs })

it('[T-18] pauses and resumes, and remembers when', async () => {
  await given()
    .when(pause(10))
    .accepts({
      event: { type: 'engine_paused', atMs: 10 },
      applied: { type: 'engine_pause' },
      then: ({ engine }) => expect(engine).toEqual({ paused: true, pausedAtMs: 10 }),
    })
  await given(pause(10))
    .when(resume(12))
    .accepts({
      event: { type: 'engine_resumed', atMs: 12 },
      applied: { type: 'engine_resume' },
      then: ({ engine }) => expect(engine).toEqual({ paused: false, pausedAtMs: 10, resumedAtMs: 12 }),
    })
})

it('[T-18] refuses to pause twice and to resume while running', async () => {
  await given(pause(10)).when(pause(11)).refuses('engine_already_paused', {})
  await given().when(resume(11)).refuses('engine_not_paused', {})
})

it('[T-27, T-18] refuses to resume before the pause', () =>
  given(pause(10)).when(resume(9)).refuses('resume_before_pause', { pausedAtMs: 10, resumedAtMs: 9 }))
