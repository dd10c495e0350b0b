import { expect, it } from 'vitest'
import type { CommandOf } from '../../../src/tasks/index.js'
import { given } from '../support/specification.js'

const pause = (timestamp: number): CommandOf<'engine_pause'> => ({ type: 'engine_pause', timestamp })
const resume = (timestamp: number): CommandOf<'engine_resume'> => ({ type: 'engine_resume', timestamp })

it('[T-18] pauses and resumes, and remembers when', async () => {
  await given()
    .when(pause(10))
    .accepts({
      event: { type: 'engine_paused', timestamp: 10 },
      applied: { type: 'engine_pause' },
      then: ({ engine }) => expect(engine).toEqual({ paused: true, pausedAt: 10 }),
    })
  await given(pause(10))
    .when(resume(12))
    .accepts({
      event: { type: 'engine_resumed', timestamp: 12 },
      applied: { type: 'engine_resume' },
      then: ({ engine }) => expect(engine).toEqual({ paused: false, pausedAt: 10, resumedAt: 12 }),
    })
})

it('[T-18] refuses to pause twice and to resume while running', async () => {
  await given(pause(10)).when(pause(11)).refuses('engine_already_paused', {})
  await given().when(resume(11)).refuses('engine_not_paused', {})
})

it('[T-27, G3] refuses to resume before the pause', () =>
  given(pause(10)).when(resume(9)).refuses('resume_before_pause', { pausedAt: 10, resumedAt: 9 }))
