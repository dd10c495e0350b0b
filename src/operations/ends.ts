import { silence } from '../base/promises.js'
import type { Lane } from '../lane/lane.js'
import type { Staged } from '../lane/types.js'
import type { Decided, NumberedEvent } from '../state/log.js'
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
    const ended = this.#end(type, id, outcomeOf)
    if (this.#core.isWatched) ended.catch((refusal: unknown) => this.#core.showRefused({ type, id }, refusal))
    return ended
  }

  #end(type: EndEvent['type'], id: OperationId, outcomeOf: () => OperationOutcome): Promise<void> {
    let event: EndEvent
    try {
      checkId(id)
      event = { type, id, outcome: outcomeOf(), stamp: undefined }
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
      checkBarriers(this.#records, [event])
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
    const group = new EndGroup(ends, this.#core, this.#onEnded)
    try {
      group.stage()
      checkBarriers(this.#records, ends)
      group.check()
      return this.#history.stage(group)
    } catch (fault) {
      group.discard()
      throw fault
    }
  }
}

/** Ends that are decided together: they become durable, or are reverted, as one. */
class EndGroup implements Decided<OperationsEvent, void> {
  readonly #ends: readonly EndEvent[]
  readonly #core: OperationsCore
  readonly #onEnded: OperationEndsOptions['onEnded']
  readonly #staged: StagedEnd[] = []

  constructor(ends: readonly EndEvent[], core: OperationsCore, onEnded: OperationEndsOptions['onEnded']) {
    this.#ends = ends
    this.#core = core
    this.#onEnded = onEnded
  }

  /** Decides the ends in order. Throws the first refusal; those before it are then still staged. */
  stage(): void {
    for (const end of this.#ends) this.#staged.push(this.#core.stage(end))
  }

  /** Raises `internal` if an end, or the facts of its operation, are corrupt: they must not become durable. */
  check(): void {
    const { rows } = this.#core.records
    for (const end of this.#ends) {
      const row = rows.get(end.id)
      if (row === undefined || isKept(row)) checkEnd(end, row)
    }
  }

  events(): readonly NumberedEvent<OperationsEvent>[] {
    const { rows } = this.#core.records
    return this.#ends.flatMap((end) => {
      const row = rows.get(end.id) as OperationRow
      return isKept(row)
        ? [(sequence: number) => operationEnded.create(sequence, payloadOf(end as MintedEnd, row))]
        : []
    })
  }

  /**
   * Applied as one change, so that an inspector that ends an operation in response cannot come before ends that were
   * decided earlier.
   */
  commit(): void {
    this.#core.change(() => {
      for (const end of this.#staged) this.#core.end(end)
    })
  }

  discard(): void {
    for (const end of this.#staged.toReversed()) this.#core.unstage(end)
  }

  publish(): void {
    for (const { id, outcome } of this.#ends) this.#onEnded(id, outcome)
  }
}

/** A broken barrier fails the call before anything becomes durable, and is removed (O-101). */
function checkBarriers({ waits }: OperationRecords, ends: readonly EndEvent[]): void {
  for (const { id } of ends) {
    for (const wait of waits.of(id)) {
      const problem = wait.problem()
      if (problem === undefined) continue
      waits.fault(wait, internalError(`wait_all completion channel dropped: ${problem}`))
      throw internalError(problem)
    }
  }
}

/** An end with its sequence and its time. */
type MintedEnd = EndEvent & { readonly stamp: Required<EndStamp> }

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
