import assert from 'node:assert/strict'
import type { TurnId } from '../../../machines/operation-vocabulary.js'
import { uuidOf, type Choice } from './choices.js'
import type { OperationsStep } from './step.js'

const turnId = uuidOf(9, 5) as TurnId
const otherTurnId = uuidOf(9, 6) as TurnId

/** Watches an operation. */
export function watchStep(operation: Choice): OperationsStep {
  const name = `watch ${operation.name}`
  return {
    name,
    run: (oracle, driver) => {
      const id = operation.pick(oracle)
      const { watch, ...verdict } = oracle.watch(id)
      if (watch !== undefined) return driver.watch(watch)
      driver.expect(name, driver.call('registerWatcher', id, {}), { verdict })
    },
  }
}

/** Aborts the newest watch, pending or not. */
export function abandonWatchStep(): OperationsStep {
  return {
    name: 'abandon the newest watch',
    isPossible: ({ watches }) => watches.length > 0,
    run: ({ watches }, driver) => {
      const watch = watches.at(-1)
      if (watch?.state === 'pending') watch.state = 'abandoned'
      driver.watches.at(-1)?.controller.abort('abandoned')
    },
  }
}

/** Waits for operations, which may be unknown or named twice, in one of two turns. */
export function waitAllStep(operations: readonly Choice[], isOtherTurn = false): OperationsStep {
  const names = operations.map((operation) => operation.name).join(', ')
  const name = `wait for [${names}]${isOtherTurn ? ' in another turn' : ''}`
  const turn = isOtherTurn ? otherTurnId : turnId
  return {
    name,
    run: (oracle, driver) => {
      const ids = operations.map(({ pick }) => pick(oracle))
      const { wait, ...verdict } = oracle.waitAll(turn, ids)
      if (wait !== undefined) return driver.wait(wait)
      driver.expect(name, driver.call('waitAll', turn, ids), { verdict })
    },
  }
}

/** Waits with a signal that has already aborted, which must not activate the barrier. */
export function abortedWaitStep(operation: Choice): OperationsStep {
  const name = `wait for ${operation.name} with an aborted signal`
  return {
    name,
    run: (oracle, driver) => {
      const signal = AbortSignal.abort('enough')
      const call = driver.call('waitAll', turnId, [operation.pick(oracle)], { signal })
      driver.expect(name, call, { verdict: { refused: 'enough' } })
    },
  }
}

/** Gives up the newest wait, satisfied or not. A wait that the queue has begun cannot be given up. */
export function giveUpWaitStep(): OperationsStep {
  return {
    name: 'give up the newest wait',
    isPossible: ({ waits, line }) => waits.length > line.waits.filter(({ begun }) => begun !== undefined).length,
    run: (oracle, driver) => {
      const wait = driver.waits.at(-1)
      if (wait === undefined) return
      oracle.cancelWait(wait.expected)
      wait.giveUp()
    },
  }
}

/** Acknowledges an obligation, which works exactly once. */
export function acknowledgeStep(): OperationsStep {
  return {
    name: 'acknowledge the oldest obligation',
    isPossible: ({ waits }) => waits.some(({ state }) => state === 'satisfied'),
    run: async ({ waits }, driver) => {
      const [obligation] = await driver.call('outstandingObligations')
      const wait = waits.find(({ state }) => state === 'satisfied')
      assert.ok(obligation !== undefined && wait !== undefined, 'an obligation is owed')
      wait.state = 'acknowledged'
      await driver.call('acknowledgeObligation', obligation)
      await assert.rejects(driver.call('acknowledgeObligation', obligation), { code: 'wait_not_active' })
    },
  }
}
