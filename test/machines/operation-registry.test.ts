import { describe, expect, it } from 'vitest'
import { createActor, type AnyActorRef } from 'xstate'
import {
  operationRegistryMachine,
  type OperationBook,
  type OperationRefusal,
  type OperationRegistryEvent,
} from '../../machines/operation-registry.js'
import {
  terminalStatusOf,
  type OperationAction,
  type OperationId,
  type OperationOutcome,
  type OperationPeerHandle,
  type OperationSpec,
  type TurnId,
  type SessionId,
  type TerminalAction,
  type WaitRequestId,
} from '../../machines/operation-vocabulary.js'

const id = 'operation' as OperationId
const turnId = 'run' as TurnId
const requestId = 'request' as WaitRequestId

const spec: OperationSpec = {
  id,
  kind: 'background_tool_op',
  ownerSessionId: 'owner' as SessionId,
  displayName: 'build',
  sourceLabel: 'shell_job',
  childSessionId: null,
  expectPeerChannel: false,
}

/** What the chart asks; by default every answer lets everything happen. */
interface Answers {
  readonly has: boolean
  readonly isUsed: boolean
  readonly hasWellFormedSource: boolean
  readonly lacksParent: boolean
  readonly isTreeClosed: boolean
  readonly isTooDeep: boolean
  readonly isBelowEnded: boolean
  readonly isFull: boolean
  readonly allows: boolean
  readonly isTurnWaiting: boolean
  readonly hasActiveWait: boolean
}

const permissive: Answers = {
  has: true,
  isUsed: false,
  hasWellFormedSource: true,
  lacksParent: false,
  isTreeClosed: false,
  isTooDeep: false,
  isBelowEnded: false,
  isFull: false,
  allows: true,
  isTurnWaiting: false,
  hasActiveWait: false,
}

/** A book that answers as told and writes down what it is ordered to do. */
function fakeBook(answers: Answers) {
  const orders: unknown[][] = []
  const asked: unknown[][] = []
  const book: OperationBook = {
    has: (operationId) => answers.has && operationId !== 'unknown',
    canBeAwaited: (operationId) => answers.has && operationId !== 'unknown',
    isUsed: () => answers.isUsed,
    hasWellFormedSource: () => answers.hasWellFormedSource,
    lacksParent: () => answers.lacksParent,
    isTreeClosed: () => answers.isTreeClosed,
    isTooDeep: () => answers.isTooDeep,
    isBelowEnded: () => answers.isBelowEnded,
    isFull: (limit) => {
      asked.push(['isFull', limit])
      return answers.isFull
    },
    allows: (event) => {
      asked.push(['allows', event])
      return answers.allows
    },
    isTurnWaiting: (wanted) => answers.isTurnWaiting && wanted === turnId,
    hasActiveWait: (wanted) => answers.hasActiveWait && wanted === requestId,
    register: (event) => orders.push(['register', event.spec.id]),
    advance: (event) => orders.push(['advance', event.type]),
    end: (event) => orders.push(['end', event.type, event.outcome.type]),
    beginWait: (event, registry: AnyActorRef) => orders.push(['beginWait', event.requestId, registry.id]),
    cancelWait: (request, reason) => orders.push(['cancelWait', request, reason]),
    drop: (ids) => orders.push(['drop', ...ids]),
    advanceCursor: (consumer, cursor) => orders.push(['advanceCursor', consumer, cursor]),
  }
  return { book, orders, asked }
}

type State = 'open' | 'draining' | 'retired' | 'poisoned'

const wayTo: Record<State, readonly OperationRegistryEvent[]> = {
  open: [],
  draining: [{ type: 'owner.drain' }],
  retired: [{ type: 'owner.retire' }],
  poisoned: [{ type: 'fault', cause: 'half-way' }],
}

/** Asks a registry in `state` for `event`, and says why it refused or what it ordered. */
function ask(event: OperationRegistryEvent, answers: Partial<Answers> = {}, state: State = 'open') {
  const { book, orders, asked } = fakeBook({ ...permissive, ...answers })
  const registry = createActor(operationRegistryMachine, { input: { book }, id: 'registry' }).start()
  for (const step of wayTo[state]) registry.send(step)
  const before = registry.getSnapshot()
  expect(before.value).toBe(state)
  const [transition] = operationRegistryMachine.getTransitionData(before, event)
  const { refusal } = (transition?.meta ?? {}) as { refusal?: OperationRefusal }
  registry.send(event)
  const after = registry.getSnapshot()
  expect(before.can(event)).toBe(transition !== undefined && refusal === undefined)
  return { refusal, orders, asked, state: after.value, contextIsTheSame: after.context === before.context }
}

/** Every way to answer the questions. */
function combinations<Key extends string>(...keys: readonly Key[]): Record<Key, boolean>[] {
  return Array.from({ length: 2 ** keys.length }, (_, bits) =>
    Object.fromEntries(keys.map((key, index) => [key, ((bits >> index) & 1) === 1])),
  ) as Record<Key, boolean>[]
}

const liveActions = ['start', 'peer_ready', 'progress_reported', 'retire_requested'] as const
const terminalActions = Object.keys(terminalStatusOf) as TerminalAction[]

const outcomes = {
  completed: { type: 'completed', result: { id, content: '', isError: false, durationMs: 0, tokensUsed: 0 } },
  failed: { type: 'failed', error: 'broken' },
  aborted: { type: 'aborted', reason: null },
  cancelled: { type: 'cancelled', reason: null },
  retired: { type: 'retired' },
  terminated: { type: 'terminated', reason: 'owner left' },
} as const satisfies Record<string, OperationOutcome>

/** The outcome that belongs to each terminal action, written out once more. */
const ownOutcome: Record<TerminalAction, OperationOutcome> = {
  complete: outcomes.completed,
  fail: outcomes.failed,
  abort: outcomes.aborted,
  cancel: outcomes.cancelled,
  retire_completed: outcomes.retired,
  terminate: outcomes.terminated,
}

function eventOf(action: OperationAction, outcome?: OperationOutcome): OperationRegistryEvent {
  return (outcome === undefined
    ? { type: `operation.${action}`, id, peer: {} as OperationPeerHandle }
    : { type: `operation.${action}`, id, outcome }) as unknown as OperationRegistryEvent
}

const registrationFacts = combinations(
  'idIsUsed',
  'sourceIsMalformed',
  'lacksParent',
  'isTreeClosed',
  'isTooDeep',
  'registryIsFull',
)
const actionFacts = combinations('unknown', 'operationRefuses')
const waitFacts = combinations('namedTwice', 'waitActive', 'unknownMember')

const register = (limit?: number): OperationRegistryEvent =>
  limit === undefined ? { type: 'register', spec } : { type: 'register', spec, limit }

describe('[O-39] registration', () => {
  it.each(registrationFacts)('first refusal wins: %o', (facts) => {
    const { idIsUsed, sourceIsMalformed, lacksParent, isTreeClosed, isTooDeep, registryIsFull } = facts
    const steps: readonly (readonly [boolean, OperationRefusal])[] = [
      [idIsUsed, 'already_registered'],
      [sourceIsMalformed, 'source_malformed'],
      [lacksParent, 'parent_not_found'],
      [isTreeClosed, 'parent_ended'],
      [isTooDeep, 'tree_too_deep'],
      [registryIsFull, 'max_concurrent_exceeded'],
    ]
    const expected = steps.find(([applies]) => applies)?.[1]
    const tree = { lacksParent, isTreeClosed, isTooDeep }
    const answers = { isUsed: idIsUsed, hasWellFormedSource: !sourceIsMalformed, isFull: registryIsFull, ...tree }
    const { refusal, orders, state } = ask(register(), answers)
    expect(refusal).toBe(expected)
    expect(orders).toEqual(expected === undefined ? [['register', id]] : [])
    expect(state).toBe('open')
  })

  it('asks about capacity with the limit of the call, and not at all once a check before it has failed', () => {
    expect(ask(register(7)).asked).toContainEqual(['isFull', 7])
    expect(ask(register()).asked).toContainEqual(['isFull', undefined])
    expect(ask(register(7), { hasWellFormedSource: false }).asked).toEqual([])
  })
})

it('[O-152] nothing starts below an operation that has ended, and everything else goes on', () => {
  expect(ask(eventOf('start'), { isBelowEnded: true })).toMatchObject({ refusal: 'parent_ended', orders: [] })
  expect(ask(eventOf('progress_reported'), { isBelowEnded: true }).refusal).toBeUndefined()
})

describe.each([...liveActions, ...terminalActions])('the order of refusals for %s (O-23)', (action) => {
  const isTerminal = action in terminalStatusOf
  const own = isTerminal ? ownOutcome[action as TerminalAction] : undefined

  it.each(actionFacts)('first refusal wins: %o', ({ unknown, operationRefuses }) => {
    const steps: readonly (readonly [boolean, OperationRefusal])[] = [
      [unknown, 'not_found'],
      [operationRefuses, 'operation_refuses'],
    ]
    const expected = steps.find(([applies]) => applies)?.[1]
    const { refusal, orders, contextIsTheSame } = ask(eventOf(action, own), {
      has: !unknown,
      allows: !operationRefuses,
    })
    expect(refusal).toBe(expected)
    const order = isTerminal ? ['end', `operation.${action}`, own?.type] : ['advance', `operation.${action}`]
    expect(orders).toEqual(expected === undefined ? [order] : [])
    expect(contextIsTheSame).toBe(true)
  })

  it('asks the operation about exactly this event', () => {
    const event = eventOf(action, own)
    expect(ask(event).asked).toContainEqual(['allows', event])
  })
})

describe('[O-89] wait-all admission', () => {
  it.each(waitFacts)('first refusal wins: %o', (facts) => {
    const { namedTwice, waitActive, unknownMember } = facts
    const expected: OperationRefusal | undefined = namedTwice
      ? 'duplicate_wait_operation'
      : waitActive
        ? 'wait_already_active'
        : unknownMember
          ? 'wait_member_not_found'
          : undefined
    const operationIds = ['a', ...(namedTwice ? ['a'] : []), unknownMember ? 'unknown' : 'b'] as OperationId[]
    const { refusal, orders } = ask(
      { type: 'wait_all.begin', requestId, turnId, operationIds },
      { isTurnWaiting: waitActive },
    )
    expect(refusal).toBe(expected)
    expect(orders).toEqual(expected === undefined ? [['beginWait', requestId, 'registry']] : [])
  })

  it('takes an empty list, but not beside an active wait', () => {
    const event: OperationRegistryEvent = { type: 'wait_all.begin', requestId, turnId, operationIds: [] }
    expect(ask(event).orders).toEqual([['beginWait', requestId, 'registry']])
    expect(ask(event, { isTurnWaiting: true }).refusal).toBe('wait_already_active')
  })

  it('cancels the active wait and no other', () => {
    expect(ask({ type: 'wait_all.cancel', requestId, reason: 'left' }, { hasActiveWait: true }).orders).toEqual([
      ['cancelWait', requestId, 'left'],
    ])
    expect(ask({ type: 'wait_all.cancel', requestId, reason: 'left' }).refusal).toBe('wait_not_active')
    const stale = { type: 'wait_all.cancel', requestId: 'stale' as WaitRequestId, reason: 'left' } as const
    expect(ask(stale, { hasActiveWait: true })).toMatchObject({ refusal: 'wait_not_active', orders: [] })
  })
})

/** One event of every kind that a permissive book would let happen, with the order it leads to. */
const legalEvents: readonly (readonly [OperationRegistryEvent, string])[] = [
  [register(), 'register'],
  [eventOf('start'), 'advance'],
  [eventOf('complete', outcomes.completed), 'end'],
  [{ type: 'wait_all.begin', requestId, turnId, operationIds: [id] }, 'beginWait'],
  [{ type: 'records.drop', ids: [id] }, 'drop'],
  [{ type: 'cursor.advance', consumer: 'agent_applied', cursor: 4 }, 'advanceCursor'],
]

describe('the life of the registry', () => {
  it('orders everything while it is open', () => {
    for (const [event, order] of legalEvents) expect(ask(event).orders[0]?.[0]).toBe(order)
  })

  it('lets work end but not start while its owner is leaving', () => {
    expect(ask(register(), {}, 'draining')).toMatchObject({ refusal: 'owner_retired', orders: [] })
    for (const [event, order] of legalEvents.slice(1)) expect(ask(event, {}, 'draining').orders[0]?.[0]).toBe(order)
  })

  it.each([
    ['retired', 'owner_retired'],
    ['poisoned', 'poisoned'],
  ] as const)('refuses everything once it is %s, whatever the book says', (state, refusal) => {
    for (const [event] of [...legalEvents, [{ type: 'owner.drain' }], [{ type: 'owner.retire' }]] as const) {
      expect(ask(event, {}, state)).toMatchObject({ refusal, orders: [], state })
      expect(ask(event, { has: false, isUsed: true }, state).refusal).toBe(refusal)
    }
  })

  it.each([
    ['open', { type: 'owner.drain' }, 'draining'],
    ['open', { type: 'owner.retire' }, 'retired'],
    ['open', { type: 'fault', cause: 'half-way' }, 'poisoned'],
    ['draining', { type: 'owner.retire' }, 'retired'],
    ['draining', { type: 'fault', cause: 'half-way' }, 'poisoned'],
    ['retired', { type: 'fault', cause: 'half-way' }, 'poisoned'],
    ['retired', { type: 'xstate.error.actor.operation', error: new Error('broke') } as never, 'poisoned'],
    ['poisoned', { type: 'owner.retire' }, 'poisoned'],
  ] as const)('goes from %s by %o to %s', (from, event, to) => {
    expect(ask(event, {}, from).state).toBe(to)
  })

  it('is poisoned by an operation actor that broke, instead of dying of it', () => {
    const { book } = fakeBook(permissive)
    const registry = createActor(operationRegistryMachine, { input: { book } }).start()
    const error = { type: 'xstate.error.actor.operation', error: new Error('broken'), actorId: 'operation' }
    registry.send(error as unknown as OperationRegistryEvent)
    expect(registry.getSnapshot()).toMatchObject({ status: 'active', value: 'poisoned' })
  })
})
