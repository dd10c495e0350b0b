/* oxlint-disable no-underscore-dangle -- the private members of XState are named so; this is the one file that uses them */

import {
  Actor,
  createActor,
  fromTransition,
  type ActorRefFrom,
  type AnyActorRef,
  type AnyEventObject,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  type EventFrom,
  type Observer,
  type SnapshotFrom,
} from 'xstate'
import type { Place, Selection, StatesOf } from './chart-table.js'
import type { FastMachine } from './fast-machine.js'

/** A row that is moved by a chart, with the actor that represents it. */
export interface ActorRow<Machine extends AnyStateMachine> extends Place<Machine> {
  value: StatesOf<Machine>
  context: Place<Machine>['context']
  actor: ActorRefFrom<Machine>
}

/** Options of the actors of rows. */
export interface RowActorsOptions<Machine extends AnyStateMachine> {
  readonly machine: FastMachine<Machine>
  readonly parent: AnyActorRef
  /**
   * The same id for all of them, because it becomes part of an event type, and XState keeps every event type it has
   * seen.
   */
  readonly id: string
  /** Called with events that other code sends to an actor: they are requests to the owner of the rows. */
  readonly onSend: (row: ActorRow<Machine>, event: EventFrom<Machine>) => void
}

/** The actors of the rows of one parent. Rows are moved through it, so that row and actor always agree. */
export interface RowActors<Machine extends AnyStateMachine> {
  /** Creates the actor of a row. If the row has ended, so has the actor. */
  show<Row extends Place<Machine>>(row: Row): Omit<Row, 'actor'> & ActorRow<Machine>
  /** Moves a row and its actor as decided. The parent is named as the sender of the event. */
  move(row: ActorRow<Machine>, event: EventFrom<Machine>, selection: Selection): void
  /** Stops the actor of a row, as XState does with the children of an actor that stops. */
  stop(row: ActorRow<Machine>): void
}

/**
 * Actors that represent rows. The row holds the state; the actor, a child of its parent, makes it visible: it can be
 * subscribed to, inspected, waited for and persisted.
 *
 *     const actors = rowActors({ machine, parent, id: 'operation', onSend })
 *     const row = actors.show({ ...machine.initialPlace(input), actor: undefined })
 *     actors.move(row, event, machine.decide(row, event))
 *     await toPromise(row.actor)
 *
 * A stock actor takes 2 KB and 13 µs to create, most of it for things that few actors need: a mailbox, sets of
 * observers, bound functions, a snapshot. {@link LeanActors} create these on demand. They are `instanceof Actor` and
 * use its methods, and therefore some of its private members. If XState no longer has these members, or the chart
 * does more than assign, {@link StockActors} do the same with the stock class.
 */
export function rowActors<Machine extends AnyStateMachine>(options: RowActorsOptions<Machine>): RowActors<Machine> {
  return isKnownXState && onlyAssigns(options.machine.machine) ? new LeanActors(options) : new StockActors(options)
}

/** The private members of XState that are used here. */
interface System {
  _bookId(): string
  _relay(source: AnyActorRef | undefined, target: unknown, event: AnyEventObject): void
  _sendInspectionEvent(event: object): void
  inspect(observer: unknown): { unsubscribe(): void }
  readonly _clock: unknown
  readonly _logger: unknown
}
interface Internals {
  readonly system: System
  _complete(): void
  _send(event: AnyEventObject): void
  _stop(): void
}
const [notStarted, running, stopped] = [0, 1, 2]

/**
 * Whether this version of XState has the private members in the expected form. Checked once, when the module is
 * loaded.
 */
const isKnownXState = ((): boolean => {
  try {
    const actor = createActor(fromTransition((state: number) => state, 0))
    const own = actor as unknown as Record<string, unknown> & { system: Record<string, unknown> }
    const states: unknown[] = [own['_processingStatus']]
    actor.start()
    states.push(own['_processingStatus'])
    actor.stop()
    states.push(own['_processingStatus'])
    const methods = ['_bookId', '_relay', '_sendInspectionEvent', 'inspect'].map((name) => own.system[name])
    const inherited = ['_complete', '_send', '_stop', 'subscribe', 'on', 'select', 'getPersistedSnapshot']
    methods.push(...inherited.map((name) => (Actor.prototype as unknown as Record<string, unknown>)[name]))
    return (
      methods.every((method) => typeof method === 'function') &&
      own['observers'] instanceof Set &&
      own['eventListeners'] instanceof Map &&
      '_snapshot' in own &&
      '_parent' in own &&
      states.join() === [notStarted, running, stopped].join()
    )
  } catch {
    return false
  }
})()

/** Whether the chart has no actions but assignments: a row cannot run others. */
function onlyAssigns({ root }: AnyStateMachine): boolean {
  const nodes = [root, ...Object.values(root.states)]
  const transitions = nodes.flatMap((node) => [...node.transitions.values()].flat())
  const implementations = root.machine.implementations.actions as Record<string, unknown>
  const typeOf = (action: unknown): unknown => {
    const named = typeof action === 'object' && action !== null && 'type' in action ? action.type : action
    const run = typeof named === 'string' ? implementations[named] : named
    return (run as { type?: unknown } | undefined)?.type
  }
  return transitions.flatMap(({ actions }) => actions).every((action) => typeOf(action) === 'xstate.assign')
}

/** The parts that only some actors need, created on demand. */
interface Extra {
  sessionId?: string
  observers?: Set<Observer<unknown>>
  eventListeners?: Map<string, Set<unknown>>
  snapshot?: AnyMachineSnapshot
}

/** All lean actors of a parent, and what they share. */
export class LeanActors<Machine extends AnyStateMachine> implements RowActors<Machine> {
  readonly machine: FastMachine<Machine>
  readonly parent: AnyActorRef
  readonly id: string
  readonly system: System
  readonly onSend: RowActorsOptions<Machine>['onSend']
  readonly #done: string
  /** The final states of the chart. */
  readonly #finals: ReadonlySet<unknown>
  /** How many inspectors the system has. Without any, no inspection events are created. */
  #inspectors: number

  constructor({ machine, parent, id, onSend }: RowActorsOptions<Machine>) {
    this.machine = machine
    this.parent = parent
    this.id = id
    this.onSend = onSend
    this.#done = `xstate.done.actor.${id}`
    const states = Object.values(machine.machine.root.states)
    this.#finals = new Set(states.filter(({ type }) => type === 'final').map(({ key }) => key))
    const system = (this.system = parent.system as unknown as System)
    this.#inspectors = rootOf(parent).options.inspect === undefined ? 0 : 1
    const inspect = system.inspect.bind(system)
    system.inspect = (observer) => {
      const subscription = inspect(observer)
      this.#inspectors += 1
      let isSubscribed = true
      const unsubscribe = (): void => {
        if (isSubscribed) this.#inspectors -= 1
        isSubscribed = false
        subscription.unsubscribe()
      }
      return { unsubscribe }
    }
  }

  show<Row extends Place<Machine>>(row: Row): Omit<Row, 'actor'> & ActorRow<Machine> {
    const shown = row as unknown as Omit<Row, 'actor'> & ActorRow<Machine>
    const actor = new LeanActor(this, shown)
    shown.actor = actor as unknown as ActorRefFrom<Machine>
    const isFinal = this.#finals.has(shown.value)
    if (this.#inspectors > 0) this.#inspect('@xstate.actor', actor)
    actor._processingStatus = isFinal ? stopped : running
    if (this.#inspectors > 0 && !isFinal) {
      const event = { type: 'xstate.init', input: undefined }
      this.#inspect('@xstate.event', actor, { sourceRef: this.parent, event })
      this.#inspect('@xstate.snapshot', actor, { event })
    }
    return shown
  }

  move(row: ActorRow<Machine>, event: EventFrom<Machine>, selection: Selection): void {
    const actor = row.actor as unknown as LeanActor
    if (this.#inspectors > 0) this.#inspect('@xstate.event', actor, { sourceRef: this.parent, event })
    const { value, context } = this.machine.table.follow(row, event, selection)
    row.value = value
    row.context = context
    const observers = actor.extra?.observers
    if (observers !== undefined) for (const observer of observers) guarded(() => observer.next?.(actor._snapshot))
    if (this.#finals.has(value)) this.#finish(actor)
    if (this.#inspectors > 0) this.#inspect('@xstate.snapshot', actor, { event })
  }

  stop({ actor: shown }: ActorRow<Machine>): void {
    const actor = shown as unknown as LeanActor
    if (actor._processingStatus === stopped) return
    actor._processingStatus = stopped
    actor.isCut = true
    if (this.#inspectors > 0) this.#inspect('@xstate.snapshot', actor, { event: { type: 'xstate.stop' } })
    if (actor.extra !== undefined) (actor as unknown as Internals)._complete()
  }

  /** The snapshot of an actor, created anew only if its row has moved. */
  snapshotOf(actor: LeanActor): AnyMachineSnapshot {
    const { value, context } = actor.row
    const known = actor.more.snapshot
    if (known !== undefined && known.value === value && known.context === context) {
      if ((known.status === 'stopped') === actor.isCut) return known
    }
    const made: AnyMachineSnapshot = this.machine.snapshotOf(
      actor.row as Place<Machine>,
      actor as unknown as AnyActorRef,
    )
    const snapshot = actor.isCut ? ({ ...made, status: 'stopped' } as unknown as AnyMachineSnapshot) : made
    actor.more.snapshot = snapshot
    return snapshot
  }

  #finish(actor: LeanActor): void {
    actor._processingStatus = stopped
    if (actor.extra !== undefined) (actor as unknown as Internals)._complete()
    const output: unknown = this.machine.outputOf(actor.row as Place<Machine>)
    const done = { type: this.#done, output, actorId: this.id }
    if (this.#inspectors > 0) this.system._relay(actor as unknown as AnyActorRef, this.parent, done)
    else (this.parent as unknown as Internals)._send(done)
  }

  /** Only called while there are inspectors, so that nothing is made for nobody. */
  #inspect(type: string, actor: LeanActor, more?: object): void {
    const shown = type === '@xstate.snapshot' ? { snapshot: actor._snapshot } : {}
    this.system._sendInspectionEvent({ type, actorRef: actor, ...more, ...shown })
  }
}

/** XState's `Actor` with its methods, but without what its constructor creates. */
class LeanActor {
  readonly actors: LeanActors<AnyStateMachine>
  readonly row: Place<AnyStateMachine>
  _processingStatus = notStarted
  /** Stopped before it had ended. */
  isCut = false
  extra: Extra | undefined = undefined

  constructor(actors: LeanActors<AnyStateMachine>, row: Place<AnyStateMachine>) {
    this.actors = actors
    this.row = row
  }

  /** Bound on every read, as the `send` of a stock actor is bound. */
  get send(): (event: AnyEventObject) => void {
    return (event) => this._send(event)
  }

  _send(event: AnyEventObject): void {
    this.actors.onSend(this.row as never, event)
  }

  start(): this {
    return this
  }

  get more(): Extra {
    return (this.extra ??= {})
  }
  get _snapshot(): AnyMachineSnapshot {
    return this.actors.snapshotOf(this)
  }
  get observers(): Set<Observer<unknown>> {
    return (this.more.observers ??= new Set())
  }
  get eventListeners(): Map<string, Set<unknown>> {
    return (this.more.eventListeners ??= new Map())
  }
  get sessionId(): string {
    return (this.more.sessionId ??= this.actors.system._bookId())
  }
  get id(): string {
    return this.actors.id
  }
  get logic(): AnyStateMachine {
    return this.actors.machine.machine
  }
  get src(): AnyStateMachine {
    return this.logic
  }
  get ref(): this {
    return this
  }
  get _parent(): AnyActorRef {
    return this.actors.parent
  }
  get system(): System {
    return this.actors.system
  }
  get clock(): unknown {
    return this.system._clock
  }
  get logger(): unknown {
    return this.system._logger
  }
  get options(): object {
    return { id: this.id, parent: this._parent }
  }
}
Object.setPrototypeOf(LeanActor.prototype, Actor.prototype)

/** The same with actors of the stock class, each of which stores the place of its row a second time. */
export class StockActors<Machine extends AnyStateMachine> implements RowActors<Machine> {
  readonly #options: RowActorsOptions<Machine>

  constructor(options: RowActorsOptions<Machine>) {
    this.#options = options
  }

  show<Row extends Place<Machine>>(row: Row): Omit<Row, 'actor'> & ActorRow<Machine> {
    const { machine, parent, id, onSend } = this.#options
    const snapshot = {
      ...machine.machine.resolveState({ value: row.value, context: row.context }),
    } as AnyMachineSnapshot
    if (snapshot.status === 'done') snapshot.output = machine.outputOf(row)
    const actor = createActor(machine.machine as AnyStateMachine, { parent, id, snapshot: snapshot as never })
    const shown = Object.assign(row, { actor }) as unknown as Omit<Row, 'actor'> & ActorRow<Machine>
    if (snapshot.status === 'active') actor.start()
    // Starting it would notify the parent of its end a second time.
    else Object.assign(actor, { _processingStatus: stopped })
    actor.send = (event) => onSend(shown, event as EventFrom<Machine>)
    return shown
  }

  move(row: ActorRow<Machine>, event: EventFrom<Machine>, selection: Selection): void {
    const { machine, parent } = this.#options
    const { system } = parent as unknown as Internals
    const send = (one: AnyEventObject): void => {
      if (typeof system._relay === 'function') system._relay(parent, row.actor, one)
      else Actor.prototype.send.call(row.actor, one as never)
    }
    machine.follow({ send } as never, event, selection)
    const { value, context } = (row.actor as AnyActorRef).getSnapshot() as SnapshotFrom<Machine>
    row.value = value
    row.context = context
  }

  stop({ actor }: ActorRow<Machine>): void {
    ;(actor as unknown as Partial<Internals>)._stop?.()
  }
}

function rootOf(actor: AnyActorRef): { readonly options: { readonly inspect?: unknown } } {
  let root = actor as AnyActorRef & { _parent?: AnyActorRef }
  while (root._parent !== undefined) root = root._parent
  return root as never
}

/** What an observer throws is rethrown outside of any transition, as XState does. */
function guarded(notify: () => void): void {
  try {
    notify()
  } catch (fault) {
    // oxlint-disable-next-line no-restricted-globals -- nothing is timed here
    setTimeout(() => {
      throw fault
    })
  }
}
