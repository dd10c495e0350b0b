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
  /** The chart of the operation does; the guard that failed there says why. */
  | 'operation_refuses'
  | 'duplicate_wait_operation'
  | 'wait_already_active'
  | 'wait_member_not_found'
  | 'wait_not_active'
  | 'owner_retired'
  | 'poisoned'

/** Asks for an operation to be added. */
export interface RegisterEvent {
  readonly type: 'register'
  readonly spec: OperationSpec
  /** Overrides the registry's own limit when present, even with a larger one. */
  readonly limit?: number
}

/** Asks for one of the actions that leave an operation live. */
export interface AdvanceEvent {
  readonly type: `operation.${Exclude<OperationAction, TerminalAction>}`
  readonly id: OperationId
  /** Comes with `operation.peer_ready`. */
  readonly peer?: OperationPeerHandle
}

/** Asks for an operation to end. */
export interface EndEvent {
  readonly type: `operation.${TerminalAction}`
  readonly id: OperationId
  readonly outcome: OperationOutcome
  /** Minted when the decision is staged; absent while it is only being asked about. */
  stamp?: EndStamp
}

/** Place and time of an end, which the registry adds to its outcome; a recovered operation keeps only its sequence. */
export interface EndStamp {
  /** Place in the completion order, from 1. */
  readonly sequence: number
  /** Epoch milliseconds. */
  readonly completedAtMs?: number
  readonly elapsedMs?: number
}

/** Asks for the wait-all barrier of a turn. */
export interface BeginWaitEvent {
  readonly type: 'wait_all.begin'
  readonly requestId: WaitRequestId
  readonly turnId: TurnId
  readonly operationIds: readonly OperationId[]
}

/** Everything that can be asked of a registry. */
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
 * The registry-wide facts the chart asks about, and the changes it orders. The book is mutable and
 * shared by reference on purpose: a record that is copied per operation makes every spawn and every
 * completion cost O(live operations).
 */
export interface OperationBook {
  /** True for a retained operation. */
  has(id: OperationId): boolean
  /** True for an operation that is retained, or whose end a row of the feed tells. */
  canBeAwaited(id: OperationId): boolean
  /** True for an id that a retained record, a feed row or an active wait still refers to, or that stands in line. */
  isUsed(id: OperationId): boolean
  hasWellFormedSource(spec: OperationSpec): boolean
  /** True for an operation with a parent that the registry does not know. */
  lacksParent(spec: OperationSpec): boolean
  /** True when an operation whose end would end this one has ended; an end that is under way counts. */
  isTreeClosed(spec: OperationSpec): boolean
  /** True when there are too many operations above. */
  isTooDeep(spec: OperationSpec): boolean
  /** The same as {@link OperationBook.isTreeClosed}, of a retained operation. */
  isBelowEnded(id: OperationId): boolean
  /** True when one more operation would exceed the limit, the event's own or else the registry's. */
  isFull(limit: number | undefined): boolean
  /** Whether the operation's own chart lets the event happen; an end that is under way counts. */
  allows(event: AdvanceEvent | EndEvent): boolean
  /** Whether the turn waits already. */
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
 * The parent of all operations of one owner. Its guards decide, in the order of O-23,
 * 3 and 6.2, whether an event is legal; the first candidate that applies is the answer, and a refusal
 * is a transition that does nothing and says why in its meta. What one operation can do, its own chart says.
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
  description: 'All operations of one owner: decides what is legal and orders the changes.',
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
      description: 'The owner is leaving: what runs may end, nothing new may start.',
      on: {
        register: { meta: { refusal: 'owner_retired' } },
        'owner.retire': 'retired',
      },
    },
    retired: {
      description: 'The owner has gone: reads and watches still work, everything else is refused.',
      on: {
        fault: 'poisoned',
        'xstate.error.actor.operation': 'poisoned',
        '*': { meta: { refusal: 'owner_retired' } },
      },
    },
    poisoned: {
      description: 'A change broke off half-way: nothing is answered rather than guessed.',
      on: { '*': { meta: { refusal: 'poisoned' } } },
    },
  },
})

/** A running registry. */
export type OperationRegistryActor = ActorRefFrom<typeof operationRegistryMachine>
