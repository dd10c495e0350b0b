import { expect, it } from 'vitest'
import { engineMachine, moveEngine, type EngineState } from '../../machines/engine.js'
import { createActor } from 'xstate'

const running: EngineState = { state: 'running', pausedAt: undefined, resumedAt: undefined }

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
  const paused = moveEngine(running, { type: 'pause', timestamp: 10 })
  expect(paused).toEqual({ state: 'paused', pausedAt: 10, resumedAt: undefined })
  expect(moveEngine(paused as EngineState, { type: 'pause', timestamp: 11 })).toBeUndefined()
  expect(moveEngine(running, { type: 'resume', timestamp: 11 })).toBeUndefined()
})

it('[T-27, G3] refuses a resume that predates its pause, and takes one in the same second', () => {
  const paused: EngineState = { state: 'paused', pausedAt: 10, resumedAt: undefined }
  expect(moveEngine(paused, { type: 'resume', timestamp: 9 })).toBeUndefined()
  expect(moveEngine(paused, { type: 'resume', timestamp: 10 })).toEqual({
    state: 'running',
    pausedAt: 10,
    resumedAt: 10,
  })
})
