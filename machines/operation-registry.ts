import { setup, type ActorRefFrom, type AnyActorRef } from 'xstate'
import type {
  CursorConsumer,
  OperationAction,
  OperationId,
  OperationOutcome,
  OperationPeerHandle,
  OperationSpec,
  TurnId,
  TerminalAction,
  WaitRequestId,
} from './operation-vocabulary.js'

/** Why the registry refuses an event; the meta of the transition that was selected. */
export type OperationRefusal =
  | 'already_registered'
  | 'source_malformed'
  | 'parent_not_found'
  /** The tree that the operation belongs to, or would belong to, is closed: an operation above it has ended. */
  | 'parent_ended'
  | 'tree_too_deep'
  | 'max_concurrent_exceeded'
  | 'not_found'
  /** The operation's own chart refuses. The guard that failed there says why. */
  | 'operation_refuses'
  | 'duplicate_wait_operation'
  | 'wait_already_active'
  | 'wait_member_not_found'
  | 'wait_not_active'
  | 'owner_retired'
  | 'poisoned'

/** Requests the registration of an operation. */
export interface RegisterEvent {
  readonly type: 'register'
  readonly spec: OperationSpec
  /** Overrides the registry's own limit if present, even with a larger one. */
  readonly limit?: number
}

/** Requests an action that leaves an operation live. */
export interface AdvanceEvent {
  readonly type: `operation.${Exclude<OperationAction, TerminalAction>}`
  readonly id: OperationId
  /** Present with `operation.peer_ready`. */
  readonly peer?: OperationPeerHandle
}

/** Requests the end of an operation. */
export interface EndEvent {
  readonly type: `operation.${TerminalAction}`
  readonly id: OperationId
  readonly outcome: OperationOutcome
  /** Set when the decision is staged. Absent while the event is only being checked. */
  stamp?: EndStamp | undefined
}

/**
 * Sequence and time of an end, which the registry adds to the outcome. Of a recovered operation, only the sequence is
 * kept.
 */
export interface EndStamp {
  /** Position in the completion order, from 1. */
  readonly sequence: number
  /** Epoch milliseconds. */
  readonly completedAtMs?: number
  readonly elapsedMs?: number
}

/** Requests the wait-all barrier of a turn. */
export interface BeginWaitEvent {
  readonly type: 'wait_all.begin'
  readonly requestId: WaitRequestId
  readonly turnId: TurnId
  readonly operationIds: readonly OperationId[]
}

/** Every event of a registry. */
export type OperationRegistryEvent =
  | RegisterEvent
  | AdvanceEvent
  | EndEvent
  | BeginWaitEvent
  | { readonly type: 'wait_all.cancel'; readonly requestId: WaitRequestId; readonly reason: unknown }
  | { readonly type: 'records.drop'; readonly ids: readonly OperationId[] }
  | { readonly type: 'cursor.advance'; readonly consumer: CursorConsumer; readonly cursor: number }
  | { readonly type: 'owner.drain' }
  | { readonly type: 'owner.retire' }
  | { readonly type: 'fault'; readonly cause: string }

/**
 * The registry-wide facts that the chart asks about, and the changes that it makes. The book is mutable and shared by
 * reference on purpose: copying a record of all operations would make every registration and every completion cost
 * O(live operations).
 */
export interface OperationBook {
  /** True for a retained operation. */
  has(id: OperationId): boolean
  /** True for an operation that is retained, or whose end is still in the feed. */
  canBeAwaited(id: OperationId): boolean
  /** True for an id that a retained record, a feed row, an active wait or the queue still refers to. */
  isUsed(id: OperationId): boolean
  hasWellFormedSource(spec: OperationSpec): boolean
  /** True for an operation whose parent the registry does not know. */
  lacksParent(spec: OperationSpec): boolean
  /** True if an operation whose end would end this one has ended. An end in progress counts. */
  isTreeClosed(spec: OperationSpec): boolean
  /** True if the operation would have too many ancestors. */
  isTooDeep(spec: OperationSpec): boolean
  /** Like {@link OperationBook.isTreeClosed}, for a retained operation. */
  isBelowEnded(id: OperationId): boolean
  /** True if one more operation would exceed the limit: the event's own, or else the registry's. */
  isFull(limit: number | undefined): boolean
  /** Whether the operation's own chart allows the event. An end in progress counts. */
  allows(event: AdvanceEvent | EndEvent): boolean
  /** Whether the turn is waiting already. */
  isTurnWaiting(turnId: TurnId): boolean
  hasActiveWait(requestId: WaitRequestId): boolean
  register(event: RegisterEvent): void
  advance(event: AdvanceEvent): void
  end(event: EndEvent): void
  beginWait(event: BeginWaitEvent, registry: AnyActorRef): void
  cancelWait(requestId: WaitRequestId, reason: unknown): void
  drop(ids: readonly OperationId[]): void
  advanceCursor(consumer: CursorConsumer, cursor: number): void
}

/** The registry's context: one reference that never changes. */
export interface OperationRegistryContext {
  readonly book: OperationBook
}

function waitIds(event: OperationRegistryEvent): readonly OperationId[] {
  return (event as BeginWaitEvent).operationIds
}

/**
 * The registry: the parent of all operations of one owner. Its guards decide, in the order of O-23, 3 and 6.2,
 * whether an event is legal. The first candidate that applies is the answer; a refusal is a transition without
 * effect, whose meta says why. What a single operation can do is defined by its own chart.
 */
export const operationRegistryMachine = setup({
  types: {
    context: {} as OperationRegistryContext,
    input: {} as OperationRegistryContext,
    events: {} as OperationRegistryEvent,
    meta: {} as { readonly refusal: OperationRefusal },
  },
  guards: {
    idIsUsed: ({ context, event }) => context.book.isUsed((event as RegisterEvent).spec.id),
    sourceIsMalformed: ({ context, event }) => !context.book.hasWellFormedSource((event as RegisterEvent).spec),
    parentIsUnknown: ({ context, event }) => context.book.lacksParent((event as RegisterEvent).spec),
    treeIsClosed: ({ context, event }) => context.book.isTreeClosed((event as RegisterEvent).spec),
    treeIsTooDeep: ({ context, event }) => context.book.isTooDeep((event as RegisterEvent).spec),
    isBelowEnded: ({ context, event }) => context.book.isBelowEnded((event as AdvanceEvent).id),
    registryIsFull: ({ context, event }) => context.book.isFull((event as RegisterEvent).limit),
    operationIsUnknown: ({ context, event }) => !context.book.has((event as AdvanceEvent).id),
    operationRefuses: ({ context, event }) => !context.book.allows(event as AdvanceEvent | EndEvent),
    operationEnds: ({ event }) => 'outcome' in event,
    waitNamesAnIdTwice: ({ event }) => new Set(waitIds(event)).size < waitIds(event).length,
    turnIsWaiting: ({ context, event }) => context.book.isTurnWaiting((event as BeginWaitEvent).turnId),
    waitNamesAnUnknownId: ({ context, event }) => waitIds(event).some((id) => !context.book.canBeAwaited(id)),
    waitIsActive: ({ context, event }) =>
      event.type === 'wait_all.cancel' && context.book.hasActiveWait(event.requestId),
  },
  actions: {
    registerOperation: ({ context, event }) => context.book.register(event as RegisterEvent),
    advanceOperation: ({ context, event }) => context.book.advance(event as AdvanceEvent),
    endOperation: ({ context, event }) => context.book.end(event as EndEvent),
    beginWait: ({ context, event, self }) => context.book.beginWait(event as BeginWaitEvent, self),
    cancelWait: ({ context, event }) => {
      if (event.type === 'wait_all.cancel') context.book.cancelWait(event.requestId, event.reason)
    },
    dropRecords: ({ context, event }) => {
      if (event.type === 'records.drop') context.book.drop(event.ids)
    },
    advanceCursor: ({ context, event }) => {
      if (event.type === 'cursor.advance') context.book.advanceCursor(event.consumer, event.cursor)
    },
  },
}).createMachine({
  id: 'operation-registry',
  description: 'All operations of one owner. Decides which changes are legal and puts them in order.',
  context: ({ input }) => input,
  initial: 'open',
  on: {
    'operation.*': [
      { guard: 'operationIsUnknown', meta: { refusal: 'not_found' } },
      { guard: 'operationRefuses', meta: { refusal: 'operation_refuses' } },
      { guard: 'operationEnds', actions: 'endOperation' },
      { actions: 'advanceOperation' },
    ],
    'operation.start': [
      { guard: 'operationIsUnknown', meta: { refusal: 'not_found' } },
      { guard: 'operationRefuses', meta: { refusal: 'operation_refuses' } },
      { guard: 'isBelowEnded', meta: { refusal: 'parent_ended' } },
      { actions: 'advanceOperation' },
    ],
    'wait_all.begin': [
      { guard: 'waitNamesAnIdTwice', meta: { refusal: 'duplicate_wait_operation' } },
      { guard: 'turnIsWaiting', meta: { refusal: 'wait_already_active' } },
      { guard: 'waitNamesAnUnknownId', meta: { refusal: 'wait_member_not_found' } },
      { actions: 'beginWait' },
    ],
    'wait_all.cancel': [{ guard: 'waitIsActive', actions: 'cancelWait' }, { meta: { refusal: 'wait_not_active' } }],
    'records.drop': { actions: 'dropRecords' },
    'cursor.advance': { actions: 'advanceCursor' },
    fault: '.poisoned',
    'xstate.error.actor.operation': '.poisoned',
  },
  states: {
    open: {
      on: {
        register: [
          { guard: 'idIsUsed', meta: { refusal: 'already_registered' } },
          { guard: 'sourceIsMalformed', meta: { refusal: 'source_malformed' } },
          { guard: 'parentIsUnknown', meta: { refusal: 'parent_not_found' } },
          { guard: 'treeIsClosed', meta: { refusal: 'parent_ended' } },
          { guard: 'treeIsTooDeep', meta: { refusal: 'tree_too_deep' } },
          { guard: 'registryIsFull', meta: { refusal: 'max_concurrent_exceeded' } },
          { actions: 'registerOperation' },
        ],
        'owner.drain': 'draining',
        'owner.retire': 'retired',
      },
    },
    draining: {
      description: 'The owner is shutting down. Running operations may end, and nothing new may start.',
      on: {
        register: { meta: { refusal: 'owner_retired' } },
        'owner.retire': 'retired',
      },
    },
    retired: {
      description: 'The owner is gone. Reads and watches still work, everything else is refused.',
      on: {
        fault: 'poisoned',
        'xstate.error.actor.operation': 'poisoned',
        '*': { meta: { refusal: 'owner_retired' } },
      },
    },
    poisoned: {
      description: 'A change was interrupted half-way. Requests are refused, because an answer would be a guess.',
      on: { '*': { meta: { refusal: 'poisoned' } } },
    },
  },
})

/** The actor of a registry. */
export type OperationRegistryActor = ActorRefFrom<typeof operationRegistryMachine>
