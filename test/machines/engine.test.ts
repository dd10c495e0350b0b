import { expect, it } from 'vitest'
import type { Place } from '../../machines/chart-table.js'
import { engineChart, engineMachine } from '../../machines/engine.js'
import { createActor } from 'xstate'

type EnginePlace = Place<typeof engineMachine>

const running: EnginePlace = { value: 'running', context: { pausedAt: undefined, resumedAt: undefined } }
const paused: EnginePlace = { value: 'paused', context: { pausedAt: 10, resumedAt: undefined } }

it('starts running and remembers when it was paused and resumed', () => {
  const actor = createActor(engineMachine).start()
  expect(actor.getSnapshot().value).toBe('running')
  actor.send({ type: 'pause', timestamp: 10 })
  expect(actor.getSnapshot()).toMatchObject({ value: 'paused', context: { pausedAt: 10, resumedAt: undefined } })
  actor.send({ type: 'resume', timestamp: 12 })
  expect(actor.getSnapshot()).toMatchObject({ value: 'running', context: { pausedAt: 10, resumedAt: 12 } })
  actor.send({ type: 'pause', timestamp: 20 })
  expect(actor.getSnapshot()).toMatchObject({ value: 'paused', context: { pausedAt: 20, resumedAt: undefined } })
})

it('[T-18] refuses a second pause and a resume that no pause precedes', () => {
  expect(engineChart.move(running, { type: 'pause', timestamp: 10 })).toEqual(paused)
  expect(engineChart.select(paused, { type: 'pause', timestamp: 11 })).toMatchObject({
    isTaken: false,
    guard: undefined,
  })
  expect(engineChart.select(running, { type: 'resume', timestamp: 11 })).toMatchObject({
    isTaken: false,
    guard: undefined,
  })
})

it('[T-27, G3] refuses a resume that predates its pause, and takes one in the same second', () => {
  expect(engineChart.select(paused, { type: 'resume', timestamp: 9 })).toMatchObject({ guard: 'followsPause' })
  expect(engineChart.move(paused, { type: 'resume', timestamp: 9 })).toBeUndefined()
  expect(engineChart.move(paused, { type: 'resume', timestamp: 10 })).toEqual({
    value: 'running',
    context: { pausedAt: 10, resumedAt: 10 },
  })
})
