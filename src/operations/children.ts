import type { ActorScope, AnyActorRef, AnyEventObject, AnyMachineSnapshot, AnyStateMachine, SnapshotFrom } from 'xstate'
import type { operationRegistryMachine, OperationRegistryContext } from '../../machines/operation-registry.js'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import type { OperationRow } from './operation-row.js'

/**
 * The operations of a registry as `children` of its snapshot: live and read-only, by operation id.
 *
 * XState copies and walks the children of an actor whenever one comes or goes, when the actor is stopped and when it is
 * persisted; with a million of them each of these would be a long walk. So the record gives an actor to whoever asks for it
 * by its id, and those who list its keys find none. To list operations, ask the registry.
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

/** What the chart's context has to be for its operations to be shown. */
interface Book {
  readonly rows: ReadonlyMap<OperationId, OperationRow>
  stopOperations(): void
}

/** The chart of a registry whose snapshot shows its operations as children, and which stops them, in one pass, when it is stopped. */
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
