import assert from 'node:assert/strict'
import type { TurnId } from '../../machines/operation-vocabulary.js'
import { uuidOf, type Choice } from './operations-choices.js'
import { attempt, type Step } from './operations-step.js'

/** Watches an operation. */
export function watchStep(operation: Choice): Step {
  const name = `watch ${operation.name}`
  return {
    name,
    run: (oracle, system) => {
      const id = operation.pick(oracle)
      const { watch, ...verdict } = oracle.watch(id)
      const controller = new AbortController()
      if (watch === undefined) {
        const call = attempt(() => void system.registry.registerWatcher(id, controller))
        return system.expect(name, call, { verdict })
      }
      system.watch(watch, system.registry.registerWatcher(id, controller), controller)
    },
  }
}

/** Aborts the newest watch, pending or not. */
export function abandonWatchStep(): Step {
  return {
    name: 'abandon the newest watch',
    isPossible: ({ watches }) => watches.length > 0,
    run: ({ watches }, system) => {
      const watch = watches.at(-1)
      if (watch?.state === 'pending') watch.state = 'abandoned'
      system.watches.at(-1)?.controller.abort('abandoned')
    },
  }
}

/** Waits for operations, which may be unknown or named twice; one of two turns does. */
export function waitAllStep(operations: readonly Choice[], isOtherTurn = false): Step {
  const turnId = uuidOf(9, isOtherTurn ? 6 : 5) as TurnId
  const names = operations.map((operation) => operation.name).join(', ')
  const name = `wait for [${names}]${isOtherTurn ? ' in another turn' : ''}`
  return {
    name,
    run: (oracle, system) => {
      const ids = operations.map(({ pick }) => pick(oracle))
      const { wait, ...verdict } = oracle.waitAll(turnId, ids)
      const handle = system.registry.waitAll(turnId, ids)
      if (wait === undefined) system.expect(name, handle, { verdict })
      else system.wait(wait, handle)
    },
  }
}

/** A signal that has aborted already must not activate the barrier. */
export function abortedWaitStep(operation: Choice): Step {
  const name = `wait for ${operation.name} with an aborted signal`
  return {
    name,
    run: (oracle, system) => {
      const signal = AbortSignal.abort('enough')
      const handle = system.registry.waitAll(uuidOf(9, 5) as TurnId, [operation.pick(oracle)], { signal })
      system.expect(name, handle, { verdict: { refused: 'enough' } })
    },
  }
}

/** Disposes the newest wait, satisfied or not. */
export function disposeWaitStep(): Step {
  return {
    name: 'dispose the newest wait',
    isPossible: ({ waits }) => waits.length > 0,
    run: (oracle, system) => {
      const wait = oracle.waits.at(-1)
      if (wait !== undefined) oracle.cancelWait(wait)
      system.waits.at(-1)?.handle[Symbol.dispose]()
    },
  }
}

/** Acknowledges an obligation, which works exactly once. */
export function acknowledgeStep(): Step {
  return {
    name: 'acknowledge the oldest obligation',
    isPossible: ({ waits }) => waits.some(({ state }) => state === 'satisfied'),
    run: ({ waits }, { registry }) => {
      const [obligation] = registry.outstandingObligations()
      const wait = waits.find(({ state }) => state === 'satisfied')
      assert.ok(obligation !== undefined && wait !== undefined, 'an obligation is owed')
      wait.state = 'acknowledged'
      registry.acknowledgeObligation(obligation)
      assert.throws(() => registry.acknowledgeObligation(obligation), { code: 'wait_not_active' })
    },
  }
}
