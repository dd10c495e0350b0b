import type { OperationKind, TurnId } from '../../../machines/operation-vocabulary.js'
import { makeSpec } from './call-steps.js'
import { fresh, nthOf, uuidOf, type Choice } from './choices.js'
import type { OperationsStep } from './step.js'

/** Runs an operation as soon as there is room for it. */
export function queueStep(kind: OperationKind, parent: Choice | undefined, outlivesParent: boolean): OperationsStep {
  const part = parent === undefined ? '' : `, part of ${parent.name}${outlivesParent ? ' which it outlives' : ''}`
  return {
    name: `run ${kind} when there is room${part}`,
    run: (oracle, driver) => {
      const id = fresh.pick(oracle)
      const parentId = parent?.pick(oracle)
      const isPart =
        parentId !== undefined && parentId !== id && oracle.find(parentId)?.kind !== 'background_tool_capacity_slot'
      const spec = {
        ...makeSpec(id, kind),
        ...(isPart && { parentId, ...(outlivesParent && { outlivesParent }) }),
      }
      driver.queue(oracle.line.run(spec), spec)
    },
  }
}

/** Removes an operation from the queue, and tries to remove it a second time. */
export function cancelQueuedStep(nth: number): OperationsStep {
  const name = `cancel number ${nth} in line`
  return {
    name,
    isPossible: ({ line }) => line.ids.length > 0,
    run: async (oracle, driver) => {
      const id = nthInLine(nth).pick(oracle)
      oracle.line.cancel(id)
      driver.expect(name, driver.call('cancelQueued', id), { verdict: {}, value: 'cancelled_in_line' })
      driver.expect(`${name} again`, driver.call('cancelQueued', id), { verdict: {}, value: 'already_ended' })
    },
  }
}

/** Waits for some queued operations and a tracked one, in a turn of its own. */
export function waitForQueuedStep(nths: readonly number[], other: Choice): OperationsStep {
  return {
    name: `wait for numbers ${nths.join(', ')} in line and for ${other.name}`,
    isPossible: ({ line }) => line.ids.length > 0,
    run: (oracle, driver) => {
      const ids = nths.map((nth) => nthInLine(nth).pick(oracle))
      const running = oracle.liveOperations().map(({ id }) => id)
      const members = [...new Set([...ids, ...running.filter((id) => id === other.pick(oracle))])]
      const turnId = uuidOf(7, oracle.line.waits.length) as TurnId
      driver.waitForQueued(oracle.line.wait(turnId, members))
    },
  }
}

/** A queued operation; if there is none, one that runs. */
export function nthInLine(nth: number): Choice {
  return {
    name: `number ${nth} in line`,
    pick: ({ line, operations }) => {
      const queued = line.ids.map((id) => ({ id }))
      return nthOf(queued.length > 0 ? queued : operations, nth)
    },
  }
}
