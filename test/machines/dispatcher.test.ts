import { describe, expect, it } from 'vitest'
import { createActor } from 'xstate'
import { dispatcherMachine, type DispatcherEvent } from '../../machines/dispatcher.js'

function after(...events: readonly DispatcherEvent[]): unknown {
  const actor = createActor(dispatcherMachine).start()
  for (const event of events) actor.send(event)
  return actor.getSnapshot().value
}

const start = { type: 'start' } as const
const recovered = { type: 'recovered', paused: false } as const

describe('the dispatcher', () => {
  it('recovers before it runs, and follows the engine', () => {
    expect(after()).toBe('stopped')
    expect(after(start)).toBe('recovering')
    expect(after(start, recovered)).toBe('running')
    expect(after(start, { type: 'recovered', paused: true })).toBe('paused')
    expect(after(start, recovered, { type: 'pause' })).toBe('paused')
    expect(after(start, recovered, { type: 'pause' }, { type: 'resume' })).toBe('running')
  })

  it('does not run before what was left behind has been taken back', () => {
    expect(after(start, { type: 'resume' })).toBe('recovering')
    expect(after(start, { type: 'pause' })).toBe('recovering')
  })

  it('ends once the last attempt has, whatever it was doing', () => {
    const drain = (attempts: number): DispatcherEvent => ({ type: 'drain', attempts })
    expect(after(drain(0))).toBe('ended')
    expect(after(start, recovered, drain(0))).toBe('ended')
    expect(after(start, recovered, drain(2))).toBe('draining')
    expect(after(start, drain(1), recovered)).toBe('draining')
    expect(after(start, recovered, drain(2), { type: 'attempt_ended', attempts: 1 })).toBe('draining')
    expect(after(start, recovered, drain(2), { type: 'attempt_ended', attempts: 0 })).toBe('ended')
    expect(after(start, recovered, { type: 'attempt_ended', attempts: 0 })).toBe('running')
    expect(after(start, recovered, drain(2), { type: 'resume' })).toBe('draining')
  })
})
