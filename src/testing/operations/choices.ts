import type { OperationId } from '../../../machines/operation-vocabulary.js'
import type { OperationsOracle } from './oracle.js'

/** The actions that leave an operation live. */
export const advanceActions = ['start', 'progress_reported', 'peer_ready', 'retire_requested'] as const
export type AdvanceAction = (typeof advanceActions)[number]

/** The actions that end one operation. */
export const settleActions = ['complete', 'fail', 'abort', 'cancel', 'retire_completed'] as const
export type SettleAction = (typeof settleActions)[number]

/** A readable UUID. */
export const uuidOf = (group: number, number: number): string =>
  `01890000-0000-7000-${group}000-${String(number).padStart(12, '0')}`

/** One of the operations that histories name; ids are text-ordered by their number. */
export const operationIdOf = (number: number): OperationId => uuidOf(8, number) as OperationId

/** Which operation a step is about, found out when it runs. */
export interface Choice {
  readonly name: string
  readonly pick: (oracle: OperationsOracle) => OperationId
}

/** The operation of this number, registered or not. */
export function exactly(number: number): Choice {
  return { name: `operation ${number}`, pick: () => operationIdOf(number) }
}

/** One of those that are tracked; operation 0 when there is none. */
export function tracked(nth: number): Choice {
  return { name: `tracked operation ${nth}`, pick: ({ operations }) => nthOf(operations, nth) }
}

/** One of those that may do this now; any that is tracked when there is none. */
export function able(action: AdvanceAction | SettleAction, nth: number): Choice {
  return {
    name: `able operation ${nth}`,
    pick: (oracle) => {
      const candidates = oracle.operations.filter(({ id }) => oracle.allows(action, id))
      return nthOf(candidates.length > 0 ? candidates : oracle.operations, nth)
    },
  }
}

/** One that runs and may have parts; any that is tracked when there is none. */
export function whole(nth: number): Choice {
  return {
    name: `live operation ${nth}`,
    pick: (oracle) => {
      const candidates = oracle.liveOperations().filter(({ kind }) => kind !== 'background_tool_capacity_slot')
      return nthOf(candidates.length > 0 ? candidates : oracle.operations, nth)
    },
  }
}

/** The first that the epoch does not know. */
export const unused: Choice = {
  name: 'an unused operation',
  pick: (oracle) => first((id) => !oracle.isUsed(id)),
}

/** The first that was never registered. */
export const fresh: Choice = {
  name: 'a fresh operation',
  pick: ({ known }) => first((id) => !known.has(id)),
}

function first(isWanted: (id: OperationId) => boolean): OperationId {
  let number = 0
  while (!isWanted(operationIdOf(number))) number += 1
  return operationIdOf(number)
}

/** The nth of a list, counted round and round; operation 0 when there is none. */
export function nthOf(operations: readonly { readonly id: OperationId }[], nth: number): OperationId {
  return operations[nth % Math.max(1, operations.length)]?.id ?? operationIdOf(0)
}
