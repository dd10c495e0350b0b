import type { ActorScope, AnyActorRef, AnyEventObject, AnyMachineSnapshot, AnyStateMachine, SnapshotFrom } from 'xstate'
import type { operationRegistryMachine, OperationRegistryContext } from '../../machines/operation-registry.js'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import type { OperationRow } from './operation-row.js'

/**
 * The operations of a registry as the `children` of its snapshot: live and read-only, by operation id.
 *
 * XState copies and iterates over the children of an actor whenever one is added or removed, and when the actor is
 * stopped or persisted. With a million operations each of these would take long. Therefore this record returns an actor
 * when it is looked up by id, and has no enumerable keys. To list operations, ask the registry.
 */
function childrenOf(rows: ReadonlyMap<OperationId, OperationRow>): Record<string, AnyActorRef> {
  const actorOf = (key: string | symbol): AnyActorRef | undefined => rows.get(key as OperationId)?.actor as AnyActorRef
  const toJSON = (): object => ({ operations: rows.size })
  return new Proxy<Record<string, AnyActorRef>>(Object.create(null) as Record<string, AnyActorRef>, {
    get: (_, key) => (key === 'toJSON' ? toJSON : actorOf(key)),
    has: (_, key) => key === 'toJSON' || rows.has(key as OperationId),
    ownKeys: () => [],
    getOwnPropertyDescriptor: (_, key) => {
      const value = actorOf(key)
      return value && { value, configurable: true, enumerable: false, writable: false }
    },
    set: () => false,
    defineProperty: () => false,
    deleteProperty: () => false,
  })
}

/** The part of the chart's context that holds the operations. */
interface Book {
  readonly rows: ReadonlyMap<OperationId, OperationRow>
  stopOperations(): void
}

/**
 * Returns the registry's chart, changed so that its snapshot shows the operations as children, and so that stopping it
 * stops them all in one pass.
 */
export function withOperations(chart: typeof operationRegistryMachine): typeof operationRegistryMachine {
  type Scope = ActorScope<SnapshotFrom<typeof operationRegistryMachine>, AnyEventObject>
  const bookOf = ({ book }: OperationRegistryContext): Book => book as unknown as Book
  const machine = Object.create(chart) as AnyStateMachine
  machine.getInitialSnapshot = ((scope: Scope, input: OperationRegistryContext) => {
    const snapshot = chart.getInitialSnapshot(scope as never, input)
    return { ...snapshot, children: childrenOf(bookOf(input).rows) }
  }) as AnyStateMachine['getInitialSnapshot']
  machine.transition = ((snapshot: AnyMachineSnapshot, event: AnyEventObject, scope: Scope) => {
    if (event.type === 'xstate.stop') bookOf(snapshot.context as OperationRegistryContext).stopOperations()
    return chart.transition(snapshot as never, event as never, scope as never)
  }) as AnyStateMachine['transition']
  return machine as typeof operationRegistryMachine
}
