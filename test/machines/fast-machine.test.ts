import { describe, expect, it } from 'vitest'
import { createActor, setup, StateMachine, type AnyStateMachine } from 'xstate'
import * as machines from '../../machines/index.js'
import {
  fastMachine,
  operationActions,
  operationKinds,
  operationMachine,
  operationRegistryMachine,
  terminalStatusOf,
  turnMachine,
  waitAllBarrierMachine,
  type OperationBook,
  type OperationId,
  type OperationOutcome,
  type TurnId,
} from '../../machines/index.js'
import { findDifference, type Subject } from './support/differential.js'

const id = 'a' as OperationId
const otherId = 'b' as OperationId
const turnId = 'run' as TurnId

const outcomes: readonly OperationOutcome[] = [
  { type: 'completed', result: { id, content: 'done', isError: false, durationMs: 5, tokensUsed: 7 } },
  { type: 'failed', error: 'broken' },
  { type: 'aborted', reason: null },
  { type: 'cancelled', reason: 'not needed' },
  { type: 'retired' },
  { type: 'terminated', reason: 'owner left' },
]

/** Few enough of the terminal ones that random histories live for a while. */
const operationEvents = operationActions.flatMap((type) =>
  type in terminalStatusOf
    ? outcomes.map((outcome) => ({ type, outcome }))
    : Array.from({ length: 8 }, () => ({ type })),
)

/** A book with real, tiny state, so that a history of orders has consequences for later answers. */
class TinyBook {
  readonly orders: string[] = []
  readonly #statuses = new Map<string, string>()
  #wait: string | undefined

  has = (operation: string): boolean => this.#statuses.has(operation)
  isUsed = (operation: string): boolean => this.#statuses.has(operation)
  hasWellFormedSource = (): boolean => true
  isFull = (limit = 2): boolean => this.#statuses.size >= limit
  allows = ({ id: operation, type }: { id: string; type: string }): boolean =>
    operation === otherId || `operation.${this.#statuses.get(operation)}` !== type
  isTurnWaiting = (): boolean => this.#wait !== undefined
  hasActiveWait = (request: string): boolean => this.#wait === request
  register = ({ spec }: { spec: { id: string } }): void =>
    this.#order(`register ${spec.id}`, () => this.#statuses.set(spec.id, ''))
  advance = ({ id: operation, type }: { id: string; type: string }): void =>
    this.#order(`${type} ${operation}`, () => this.#statuses.set(operation, type.slice('operation.'.length)))
  end = ({ id: operation, type }: { id: string; type: string }): void =>
    this.#order(`${type} ${operation}`, () => this.#statuses.delete(operation))
  beginWait = ({ requestId }: { requestId: string }): void => this.#order('wait', () => (this.#wait = requestId))
  cancelWait = (): void => this.#order('cancel', () => (this.#wait = undefined))
  drop = (ids: readonly string[]): void =>
    this.#order(`drop ${ids.join()}`, () => ids.forEach((one) => this.#statuses.delete(one)))
  advanceCursor = (consumer: string, cursor: number): void => this.#order(`${consumer} ${cursor}`, () => {})

  #order(text: string, change: () => void): void {
    this.orders.push(text)
    change()
  }
}

const registryEvents = [
  ...[id, otherId].flatMap((operation) => [
    { type: 'register', spec: { id: operation } },
    { type: 'register', spec: { id: operation }, limit: 1 },
    ...operationActions.map((action) => ({
      type: `operation.${action}`,
      id: operation,
      ...(action in terminalStatusOf && { outcome: outcomes[1] }),
    })),
  ]),
  { type: 'wait_all.begin', requestId: 'first', turnId, operationIds: [id] },
  { type: 'wait_all.begin', requestId: 'second', turnId, operationIds: [id, id] },
  { type: 'wait_all.cancel', requestId: 'first', reason: 'left' },
  { type: 'records.drop', ids: [id] },
  { type: 'cursor.advance', consumer: 'agent_applied', cursor: 3 },
  { type: 'owner.drain' },
  { type: 'owner.retire' },
  { type: 'fault', cause: 'half-way' },
  { type: 'xstate.error.actor.operation', error: 'broken', actorId: 'operation' },
  { type: 'xstate.done.actor.operation', output: 1, actorId: 'operation' },
  { type: 'unheard_of' },
]

const turnRefs = [
  { operationId: id, waitPolicy: 'barrier' },
  { operationId: otherId, waitPolicy: 'detached' },
]

/** Every flat machine of the product, by its name in machines/index.ts. */
const subjects: Record<string, Subject[]> = {
  operationMachine: operationKinds.map((kind) => ({
    machine: operationMachine,
    input: () => ({ id, kind, displayName: 'build' }),
    events: [...operationEvents, { type: 'unheard_of' }],
  })),
  operationRegistryMachine: [
    {
      machine: operationRegistryMachine,
      input: () => ({ book: new TinyBook() as unknown as OperationBook }),
      events: registryEvents,
      trace: ({ context }) => (context as unknown as { book: TinyBook }).book.orders,
      isPersistable: false,
    },
  ],
  waitAllBarrierMachine: [0, 1, 3].map((remaining) => ({
    machine: waitAllBarrierMachine,
    input: () => ({ requestId: 'request', turnId, operationIds: [id, otherId], remaining }),
    events: [
      { type: 'begin' },
      { type: 'member_ended' },
      { type: 'member_ended' },
      { type: 'acknowledge' },
      { type: 'cancel' },
      { type: 'fault', cause: 'corrupt' },
    ],
  })),
  turnMachine: [
    {
      machine: turnMachine,
      input: () => ({ turnId }),
      events: [turnId, 'stale run'].flatMap((run) => [
        { type: 'register_pending_operations', turnId: run, refs: turnRefs },
        { type: 'register_pending_operations', turnId: run, refs: [] },
        { type: 'operations_barrier_satisfied', turnId: run, operationIds: [id] },
        { type: 'operations_barrier_satisfied', turnId: run, operationIds: [] },
        { type: 'tool_calls_resolved', turnId: run },
        { type: 'boundary_drained', turnId: run },
        { type: 'finish', turnId: run },
        { type: 'fail', turnId: run, reason: 'broken' },
      ]),
    },
  ],
}

/** Machines without input whose events carry a number at most. */
const subjectOf = (machine: AnyStateMachine): Subject => ({
  machine,
  events: machine.events
    .filter((type) => !type.includes('*'))
    .flatMap((type) => [10, 20].map((atMs) => ({ type, atMs }))),
})

const exported = Object.entries(machines as Record<string, unknown>).filter(
  (entry): entry is [string, AnyStateMachine] => entry[1] instanceof StateMachine,
)
const flat = exported.filter(([, machine]) => fastMachine(machine).machine !== machine)

describe('a fast machine of the product', () => {
  it('exists for the charts that carry the load', () => {
    expect(flat.map(([name]) => name)).toEqual(expect.arrayContaining(Object.keys(subjects)))
  })

  it.each(flat)('%s cannot be told from the chart itself', (name, machine) => {
    for (const subject of subjects[name] ?? [subjectOf(machine)]) {
      expect(findDifference(fastMachine(machine).machine, subject)).toBeUndefined()
    }
  })

  it('leaves the chart itself as it was', () => {
    const before = Object.values(operationMachine)
    fastMachine(operationMachine)
    expect(Object.values(operationMachine).every((value, index) => value === before[index])).toBe(true)
  })

  it('keeps inputs and contexts of actors apart', () => {
    const machine = fastMachine(operationMachine).machine
    const [first, second] = ['first', 'second'].map((displayName) =>
      createActor(machine, { input: { id, kind: 'background_tool_op', displayName } }).start(),
    )
    first?.send({ type: 'start' })
    first?.send({ type: 'progress_reported' })
    expect(first?.getSnapshot().context).toMatchObject({ displayName: 'first', progressCount: 1 })
    expect(second?.getSnapshot()).toMatchObject({
      value: 'provisioning',
      context: { displayName: 'second', progressCount: 0 },
    })
  })
})

describe('what was decided', () => {
  /** A chart whose guard counts how often it is asked, and answers as the test says. */
  function counting() {
    const asked = { count: 0, answer: true }
    const chart = setup({ types: { events: {} as { readonly type: 'go' } } }).createMachine({
      initial: 'a',
      states: {
        a: {
          on: {
            go: {
              guard: () => {
                asked.count += 1
                return asked.answer
              },
              target: 'b',
            },
          },
        },
        b: {},
      },
    })
    const { machine, decide, follow } = fastMachine(chart)
    return { asked, decide, follow, actor: createActor(machine).start() }
  }

  it('is followed without asking a guard again, whatever the guard would say by then', () => {
    const { asked, decide, follow, actor } = counting()
    const event = { type: 'go' } as const
    const selection = decide(actor.getSnapshot(), event)
    expect(selection.isTaken).toBe(true)
    asked.answer = false
    follow(actor, event, selection)
    expect(actor.getSnapshot().value).toBe('b')
    expect(asked.count).toBe(1)
  })

  it('holds for that very event object and for one time', () => {
    const { asked, decide, follow, actor } = counting()
    const event = { type: 'go' } as const
    asked.answer = false
    const selection = decide(actor.getSnapshot(), event)
    expect(selection.isTaken).toBe(false)
    asked.answer = true
    follow(actor, event, selection)
    expect([actor.getSnapshot().value, asked.count]).toEqual(['a', 1])
    actor.send(event)
    expect([actor.getSnapshot().value, asked.count]).toEqual(['b', 2])
  })
})
