import { silence } from '../base/promises.js'
import type { Lane } from '../lane/lane.js'
import type { Staged } from '../lane/types.js'
import type { NumberedEvent } from '../state/log.js'
import type { EndEvent, EndStamp } from '../../machines/operation-registry.js'
import type { OperationId, OperationOutcome } from '../../machines/operation-vocabulary.js'
import { checkId } from './admission.js'
import { kindClasses } from './classification.js'
import type { OperationsCore, StagedEnd } from './core.js'
import { internalError } from './errors.js'
import type { OperationsEvent, OperationsHistory } from './history.js'
import type { OperationRecords } from './records.js'
import { operationEnded } from './operation.js'
import { readFacts, type OperationRow } from './operation-row.js'
import { terminations } from './termination.js'

const done = Promise.resolve()

/** Options of {@link OperationEnds}. */
export interface OperationEndsOptions {
  readonly lane: Lane
  readonly history: OperationsHistory
  /** Called for each end once it is durable and visible. */
  readonly onEnded: (id: OperationId, outcome: OperationOutcome) => void
}

/**
 * Ends operations. An end is decided during the call, taken into account by later decisions from then on, and applied
 * once it is durable. If it does not become durable, it is reverted together with everything decided after it.
 */
export class OperationEnds {
  readonly #lane: Lane
  readonly #history: OperationsHistory
  readonly #core: OperationsCore
  readonly #records: OperationRecords
  readonly #onEnded: OperationEndsOptions['onEnded']

  constructor({ lane, history, onEnded }: OperationEndsOptions) {
    this.#lane = lane
    this.#history = history
    this.#core = history.core
    this.#records = history.core.records
    this.#onEnded = onEnded
  }

  /** Ends one operation. `outcomeOf` is called once the id was checked; an error that it throws is the refusal. */
  end(type: EndEvent['type'], id: OperationId, outcomeOf: () => OperationOutcome): Promise<void> {
    return this.#core.ask({ type, id }, () => this.#end(type, id, outcomeOf))
  }

  #end(type: EndEvent['type'], id: OperationId, outcomeOf: () => OperationOutcome): Promise<void> {
    let event: EndEvent
    try {
      checkId(id)
      event = { type, id, outcome: outcomeOf() }
    } catch (refusal) {
      return this.#lane.refuse(refusal as Error)
    }
    const row = this.#records.rows.get(id)
    if (row !== undefined && !isKept(row)) return this.#endSlot(event)
    return this.endTogether([event])
  }

  /** Ends these operations as one group, which succeeds or is refused as a whole. */
  endTogether(events: readonly EndEvent[]): Promise<void> {
    return this.#lane.submit(this.#history, () => this.#stage(events))
  }

  /** Ends all live operations, in groups that fit one journal append each, and waits for ends in progress. */
  endAll(reason: string): Promise<void> {
    let groups: EndEvent[][]
    try {
      groups = terminations(this.#records, reason)
    } catch (fault) {
      return this.#lane.refuse(fault as Error)
    }
    if (groups.length === 0) return this.#records.isEnding ? this.endTogether([]) : done
    return silence(inTurn(groups.map((events) => this.endTogether(events))))
  }

  /** Ends a capacity slot at once: slots are not journalled, so there is nothing to wait for. */
  #endSlot(event: EndEvent): Promise<void> {
    let discard = (): void => {}
    try {
      const staged = this.#core.stage(event)
      discard = () => this.#core.unstage(staged)
      this.#checkBarriers([event])
      discard = () => {}
      this.#core.end(staged)
    } catch (refusal) {
      discard()
      return this.#lane.refuse(refusal as Error)
    }
    this.#onEnded(event.id, event.outcome)
    return done
  }

  #stage(ends: readonly EndEvent[]): Staged<void> {
    const staged: StagedEnd[] = []
    const discard = (): void => {
      for (const end of staged.toReversed()) this.#core.unstage(end)
    }
    // Applied as one change, so that an inspector that ends an operation in response cannot come before ends that were
    // decided earlier.
    const commit = (): void =>
      this.#core.change(() => {
        for (const end of staged) this.#core.end(end)
      })
    const publish = (): void => {
      for (const { id, outcome } of ends) this.#onEnded(id, outcome)
    }
    try {
      for (const end of ends) staged.push(this.#core.stage(end))
      this.#checkBarriers(ends)
      return this.#history.stage({ events: this.#eventsOf(ends), commit, discard, publish })
    } catch (fault) {
      discard()
      throw fault
    }
  }

  /** Checks the facts now and fails closed; builds the events only when the journal asks for them. */
  #eventsOf(ends: readonly EndEvent[]): () => readonly NumberedEvent<OperationsEvent>[] {
    const kept: [MintedEnd, OperationRow][] = []
    for (const end of ends) {
      const row = this.#records.rows.get(end.id)
      if (row !== undefined && !isKept(row)) continue
      checkEnd(end, row)
      kept.push([end, row as OperationRow])
    }
    return () =>
      kept.map(
        ([end, row]) =>
          (sequence) =>
            operationEnded.create(sequence, payloadOf(end, row)),
      )
  }

  /** A broken barrier fails the call before anything becomes durable, and is removed (O-101). */
  #checkBarriers(ends: readonly EndEvent[]): void {
    const { waits } = this.#records
    for (const { id } of ends) {
      for (const wait of waits.of(id)) {
        const problem = wait.problem()
        if (problem === undefined) continue
        waits.fault(wait, internalError(`wait_all completion channel dropped: ${problem}`))
        throw internalError(problem)
      }
    }
  }
}

/** An end with its sequence and its time. */
interface MintedEnd extends EndEvent {
  stamp: Required<EndStamp>
}

/**
 * Raises `internal` if the end or the facts of its operation are corrupt, because corrupt facts must not become
 * durable.
 */
function checkEnd(event: EndEvent, row: OperationRow | undefined): asserts event is MintedEnd {
  const { id, stamp } = event
  if (row === undefined || stamp?.completedAtMs === undefined) {
    throw internalError(`operation ${id} did not mint a completion sequence`)
  }
  readFacts(id, row)
}

function payloadOf({ id, outcome, stamp }: MintedEnd, { context }: OperationRow) {
  const { peerReady, progressCount } = context
  const { sequence: completionSequence, completedAtMs } = stamp
  return { id, completionSequence, outcome, peerReady, progressCount, completedAtMs }
}

function isKept({ spec }: OperationRow): boolean {
  return kindClasses[spec.kind].durability === 'retain'
}

/** Resolves once all steps have, in order; rejects with the first failure. */
async function inTurn(steps: readonly Promise<void>[]): Promise<void> {
  for (const step of steps) await step
}
