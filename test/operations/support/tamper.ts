import type { OperationContext } from '../../../machines/operation.js'
import type { WaitAllBarrierActor } from '../../../machines/wait-all-barrier.js'
import type { OperationRow } from '../../../src/operations/operation-row.js'
import { idOf, type Fixture } from './registry.js'

type Forged<Fields> = { [Field in keyof Fields]?: unknown }

/** What to put in the place of true facts. */
export interface Forgery {
  /** Status of the chart. */
  readonly status?: unknown
  readonly context?: Forged<OperationContext>
  readonly row?: Forged<OperationRow>
}

/** Falsifies the facts of one operation behind the registry's back, the way corruption would. */
export function tamper({ session }: Fixture, number: number, forgery: Forgery): void {
  const { rows } = session.history.core.records
  const row = rows.get(idOf(number))
  if (row === undefined) throw new Error(`operation ${number} is not tracked`)
  const { context } = row
  const forged: object = { ...row, ...forgery.row }
  // Stays whatever the registry makes of it.
  const stays = (field: string, shown: unknown): void => {
    Object.defineProperty(forged, field, { get: () => shown, set: () => {}, enumerable: true })
  }
  if ('status' in forgery) stays('value', forgery.status)
  if (forgery.context !== undefined) stays('context', { ...context, ...forgery.context })
  rows.set(idOf(number), forged as OperationRow)
}

/** Falsifies what the active barrier remembers. */
export function tamperWithWait({ session }: Fixture, context: Forged<{ turnId: unknown; requestId: unknown }>): void {
  const { oldest: wait } = session.history.core.records.waits
  if (wait === undefined) throw new Error('no wait is active')
  const { barrier } = wait
  const forged = Object.create(barrier, {
    getSnapshot: {
      value: () => ({ ...barrier.getSnapshot(), context: { ...barrier.getSnapshot().context, ...context } }),
    },
  }) as WaitAllBarrierActor
  Object.defineProperty(wait, 'barrier', { value: forged })
}
