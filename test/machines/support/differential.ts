import fc from 'fast-check'
import { expect } from 'vitest'
import {
  createActor,
  type AnyActorRef,
  type AnyEventObject,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  type InspectionEvent,
} from 'xstate'

/** A machine together with what to do to it. */
export interface Subject {
  readonly machine: AnyStateMachine
  readonly events: readonly AnyEventObject[]
  /** Made anew for every actor, so that actors share nothing by accident. */
  readonly input?: () => unknown
  /** What a run leaves behind outside the snapshot, for instance calls a context object received. */
  readonly trace?: (snapshot: AnyMachineSnapshot) => unknown
  /** False for a context that is no JSON. Default true. */
  readonly isPersistable?: boolean
}

/** One step of a random history: which of the actors, and an event or coming back from its persisted snapshot. */
type Step = { readonly actor: number; readonly event: number } | { readonly actor: number; readonly restore: true }

const actorCount = 2

/** A running actor with everything an outsider can observe of it. */
class Observed {
  readonly seen: unknown[] = []
  readonly #machine: AnyStateMachine
  readonly #subject: Subject
  #actor: AnyActorRef

  constructor(machine: AnyStateMachine, subject: Subject) {
    this.#machine = machine
    this.#subject = subject
    this.#actor = this.#start()
  }

  /** Sends to an actor that has ended start its next life instead. */
  send(event: AnyEventObject): void {
    if (this.#actor.getSnapshot().status === 'active') this.#actor.send(event)
    else this.#actor = this.#start()
  }

  restore(): void {
    if (this.#actor.getSnapshot().status === 'error') return
    const text = JSON.stringify(this.#actor.getPersistedSnapshot())
    this.#actor.stop()
    this.#actor = this.#start(JSON.parse(text))
  }

  look(): unknown {
    const snapshot = this.#actor.getSnapshot() as AnyMachineSnapshot
    const { trace, events, isPersistable = true } = this.#subject
    const isUsable = 'can' in snapshot
    return {
      status: snapshot.status,
      value: snapshot.value,
      context: trace === undefined ? snapshot.context : trace(snapshot),
      output: snapshot.output,
      error: messageIn(snapshot.error),
      tags: isUsable && [...snapshot.tags].toSorted(),
      children: isUsable && Object.entries(snapshot.children as Record<string, AnyActorRef>).map(statusOf),
      historyValue: snapshot.historyValue,
      meta: isUsable && snapshot.getMeta(),
      can: isUsable && snapshot.status === 'active' && events.map((event) => canSafely(snapshot, event)),
      persisted: isPersistable && isUsable && JSON.stringify(this.#actor.getPersistedSnapshot()),
    }
  }

  #start(snapshot?: unknown): AnyActorRef {
    const { input } = this.#subject
    const actor = createActor(this.#machine, {
      ...(input !== undefined && { input: input() }),
      ...(snapshot !== undefined && { snapshot: snapshot as never }),
      inspect: (event) => this.#inspect(event),
    })
    actor.on('*', (emitted) => this.seen.push(['emitted', emitted]))
    actor.subscribe({
      next: ({ value }) => this.seen.push(['next', value]),
      error: (error) => this.seen.push(['error', messageIn(error)]),
      complete: () => this.seen.push(['complete']),
    })
    return actor.start()
  }

  #inspect(event: InspectionEvent): void {
    if (event.type !== '@xstate.action') return
    const { type, params } = event.action
    // Params of built-in actions hold actors, whose ids no two actor systems share.
    this.seen.push(['action', type, type.startsWith('xstate.') ? null : (params ?? null)])
  }
}

function statusOf([id, child]: [string, AnyActorRef]): unknown {
  return [id, child.getSnapshot().status]
}

/** A guard that throws is an answer too. */
function canSafely(snapshot: AnyMachineSnapshot, event: AnyEventObject): unknown {
  try {
    return snapshot.can(event)
  } catch (error) {
    return messageIn(error)
  }
}

function messageIn(error: unknown): unknown {
  return error instanceof Error ? error.message : error
}

function stepsOf({ events, isPersistable = true }: Subject): fc.Arbitrary<Step[]> {
  const actor = fc.nat(actorCount - 1)
  const send = fc.record({ actor, event: fc.nat(events.length - 1) })
  const restore = fc.record({ actor, restore: fc.constant(true as const) })
  const step: fc.Arbitrary<Step> = isPersistable
    ? fc.oneof({ weight: 12, arbitrary: send }, { weight: 1, arbitrary: restore })
    : send
  return fc.array(step, { maxLength: 30 })
}

/**
 * Describes the shortest history found after which an actor of `candidate` can be told from one of the
 * subject's machine, with its seed; `undefined` when there is none.
 */
export function findDifference(candidate: AnyStateMachine, subject: Subject, numRuns = 150): string | undefined {
  const details = fc.check(
    fc.property(stepsOf(subject), (steps) => {
      const make = (machine: AnyStateMachine) =>
        Array.from({ length: actorCount }, () => new Observed(machine, subject))
      const stock = make(subject.machine)
      const fast = make(candidate)
      const compare = (actor: number): void => {
        expect(fast[actor]?.look()).toEqual(stock[actor]?.look())
        expect(fast[actor]?.seen).toEqual(stock[actor]?.seen)
      }
      compare(0)
      for (const step of steps) {
        for (const observed of [stock[step.actor], fast[step.actor]]) {
          if ('restore' in step) observed?.restore()
          else observed?.send(subject.events[step.event] as AnyEventObject)
        }
        for (let actor = 0; actor < actorCount; actor++) compare(actor)
      }
    }),
    { numRuns },
  )
  return fc.defaultReportMessage(details)
}
