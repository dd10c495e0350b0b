import type { OperationActorSnapshot } from '../../../machines/operation.js'
import type { WaitAllBarrierActor } from '../../../machines/wait-all-barrier.js'
import type { OperationRow } from '../../../src/operations/projection.js'
import { idOf, type Fixture } from './registry.js'

type Forged<Fields> = { [Field in keyof Fields]?: unknown }

/** What to put in the place of true facts. */
export interface Forgery {
  /** Status of the chart. */
  readonly status?: unknown
  readonly context?: Forged<OperationActorSnapshot['context']>
  readonly row?: Forged<OperationRow>
}

/** Falsifies the facts of one operation behind the registry's back, the way corruption would. */
export function tamper({ session }: Fixture, number: number, forgery: Forgery): void {
  const { rows } = session.history.core.records
  const row = rows.get(idOf(number))
  if (row === undefined) throw new Error(`operation ${number} is not tracked`)
  const { actor } = row
  const forgedActor = Object.create(actor, {
    getSnapshot: {
      value: () => {
        const snapshot = actor.getSnapshot()
        const value = 'status' in forgery ? forgery.status : snapshot.value
        return { ...snapshot, value, context: { ...snapshot.context, ...forgery.context } }
      },
    },
  }) as typeof actor
  rows.set(idOf(number), { ...row, actor: forgedActor, ...forgery.row } as OperationRow)
}

/** Falsifies what the active barrier remembers. */
export function tamperWithWait({ session }: Fixture, context: Forged<{ runId: unknown; requestId: unknown }>): void {
  const { wait } = session.history.core.records
  if (wait === undefined) throw new Error('no wait is active')
  const { barrier } = wait
  const forged = Object.create(barrier, {
    getSnapshot: {
      value: () => ({ ...barrier.getSnapshot(), context: { ...barrier.getSnapshot().context, ...context } }),
    },
  }) as WaitAllBarrierActor
  Object.defineProperty(wait, 'barrier', { value: forged })
}
