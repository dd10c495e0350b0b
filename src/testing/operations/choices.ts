import type { OperationId } from '../../../machines/operation-vocabulary.js'
import type { OperationsOracle } from './oracle.js'

/** The actions that keep an operation live. */
export const advanceActions = ['start', 'progress_reported', 'peer_ready', 'retire_requested'] as const
export type AdvanceAction = (typeof advanceActions)[number]

/** The actions that end one operation. */
export const settleActions = ['complete', 'fail', 'abort', 'cancel', 'retire_completed'] as const
export type SettleAction = (typeof settleActions)[number]

/** Returns a readable UUID. */
export const uuidOf = (group: number, number: number): string =>
  `01890000-0000-7000-${group}000-${String(number).padStart(12, '0')}`

/** The id of the operation with this number; ids sort like the numbers. */
export const operationIdOf = (number: number): OperationId => uuidOf(8, number) as OperationId

/** The operation of a step, chosen when the step runs. */
export interface Choice {
  readonly name: string
  readonly pick: (oracle: OperationsOracle) => OperationId
}

/** The operation with this number, registered or not. */
export function exactly(number: number): Choice {
  return { name: `operation ${number}`, pick: () => operationIdOf(number) }
}

/** A tracked operation; operation 0 if there is none. */
export function tracked(nth: number): Choice {
  return { name: `tracked operation ${nth}`, pick: ({ operations }) => nthOf(operations, nth) }
}

/** An operation for which the action is legal now; if there is none, any tracked operation. */
export function able(action: AdvanceAction | SettleAction, nth: number): Choice {
  return {
    name: `able operation ${nth}`,
    pick: (oracle) => {
      const candidates = oracle.operations.filter(({ id }) => oracle.allows(action, id))
      return nthOf(candidates.length > 0 ? candidates : oracle.operations, nth)
    },
  }
}

/** A live operation that may have children; if there is none, any tracked operation. */
export function whole(nth: number): Choice {
  return {
    name: `live operation ${nth}`,
    pick: (oracle) => {
      const candidates = oracle.liveOperations().filter(({ kind }) => kind !== 'background_tool_capacity_slot')
      return nthOf(candidates.length > 0 ? candidates : oracle.operations, nth)
    },
  }
}

/** The first operation whose id the epoch does not refer to. */
export const unused: Choice = {
  name: 'an unused operation',
  pick: (oracle) => first((id) => !oracle.isUsed(id)),
}

/** The first operation that was never registered. */
export const fresh: Choice = {
  name: 'a fresh operation',
  pick: ({ known }) => first((id) => !known.has(id)),
}

function first(isWanted: (id: OperationId) => boolean): OperationId {
  let number = 0
  while (!isWanted(operationIdOf(number))) number += 1
  return operationIdOf(number)
}

/** The nth operation of a list, wrapping around; operation 0 if the list is empty. */
export function nthOf(operations: readonly { readonly id: OperationId }[], nth: number): OperationId {
  return operations[nth % Math.max(1, operations.length)]?.id ?? operationIdOf(0)
}
