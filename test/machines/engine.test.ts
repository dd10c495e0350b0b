import { expect, it } from 'vitest'
import type { Place } from '../../machines/chart-table.js'
import { engineChart, engineMachine } from '../../machines/engine.js'
import { createActor } from 'xstate'

type EnginePlace = Place<typeof engineMachine>

const running: EnginePlace = { value: 'running', context: { pausedAtMs: undefined, resumedAtMs: undefined } }
const paused: EnginePlace = { value: 'paused', context: { pausedAtMs: 10, resumedAtMs: undefined } }

it('starts running and remembers when it was paused and resumed', () => {
  const actor = createActor(engineMachine).start()
  expect(actor.getSnapshot().value).toBe('running')
  actor.send({ type: 'pause', atMs: 10 })
  expect(actor.getSnapshot()).toMatchObject({ value: 'paused', context: { pausedAtMs: 10, resumedAtMs: undefined } })
  actor.send({ type: 'resume', atMs: 12 })
  expect(actor.getSnapshot()).toMatchObject({ value: 'running', context: { pausedAtMs: 10, resumedAtMs: 12 } })
  actor.send({ type: 'pause', atMs: 20 })
  expect(actor.getSnapshot()).toMatchObject({ value: 'paused', context: { pausedAtMs: 20, resumedAtMs: undefined } })
})

it('[T-18] refuses a second pause and a resume that no pause precedes', () => {
  expect(engineChart.move(running, { type: 'pause', atMs: 10 })).toEqual(paused)
  expect(engineChart.select(paused, { type: 'pause', atMs: 11 })).toMatchObject({
    isTaken: false,
    guard: undefined,
  })
  expect(engineChart.select(running, { type: 'resume', atMs: 11 })).toMatchObject({
    isTaken: false,
    guard: undefined,
  })
})

it('[T-27, T-18] refuses a resume that predates its pause, and takes one in the same second', () => {
  expect(engineChart.select(paused, { type: 'resume', atMs: 9 })).toMatchObject({ guard: 'followsPause' })
  expect(engineChart.move(paused, { type: 'resume', atMs: 9 })).toBeUndefined()
  expect(engineChart.move(paused, { type: 'resume', atMs: 10 })).toEqual({
    value: 'running',
    context: { pausedAtMs: 10, resumedAtMs: 10 },
  })
})
