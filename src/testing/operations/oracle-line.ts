import type { OperationId, OperationSpec, TurnId } from '../../../machines/operation-vocabulary.js'
import type { OperationOutcome } from '../../../machines/operation-vocabulary.js'
import type { OracleLimits, OracleLineWait, OracleLineRun, OracleWait, Refusal, Verdict } from './rows.js'

/** The part of the registry's model that the queue needs. */
interface Registry {
  readonly limits: OracleLimits
  readonly known: Set<OperationId>
  liveOperations(): readonly unknown[]
  register(spec: OperationSpec, limit: number | undefined): Verdict
  advance(action: 'start', id: OperationId): Verdict
  waitAll(turnId: TurnId, members: readonly OperationId[]): Verdict & { readonly wait?: OracleWait }
}

/** A queued operation; it has no turn while its parent is queued itself. */
interface Queued {
  readonly spec: OperationSpec
  readonly run: OracleLineRun
  turn: number | undefined
}

/** An independent model of the queue in front of a registry (O-155 to O-159, O-161), made of plain lists. */
export class OracleLine {
  /** All operations of this process that were to run as soon as there is room. */
  runs: OracleLineRun[] = []
  waits: OracleLineWait[] = []
  readonly #registry: Registry
  /** In the order of refusal. */
  #refused: OracleLineRun[] = []
  #queued: Queued[] = []
  #turns = 0

  constructor(registry: Registry) {
    this.#registry = registry
  }

  /** The queued operations, in order of arrival. */
  get ids(): readonly OperationId[] {
    return this.#queued.map(({ spec }) => spec.id)
  }

  /** Starts an operation now, queues it, or refuses it. */
  run(spec: OperationSpec): OracleLineRun {
    const { id, parentId } = spec
    const { known, limits } = this.#registry
    const run: OracleLineRun = { id, state: 'queued', outcome: undefined, refusal: undefined }
    known.add(id)
    this.runs.push(run)
    const follows = parentId !== undefined && this.ids.includes(parentId)
    if (limits.whenFull !== 'queue' || (!follows && this.#hasRoom)) this.#begin(spec, run)
    else if (this.#queued.length >= (limits.maxQueued ?? 100_000)) {
      this.#note(run, { refused: 'queue_full', data: { limit: limits.maxQueued } })
    } else this.#queued.push({ spec, run, turn: follows ? undefined : this.#nextTurn() })
    return run
  }

  /** Removes an operation from the queue. */
  cancel(id: OperationId): void {
    this.#refuse(id, { refused: 'cancelled_in_line', data: { id, reason: null } })
    this.#lookAtWaits()
  }

  /** Handles the end of an operation: queued operations below it never start, and others may. */
  ended(id: OperationId, outcome: OperationOutcome): void {
    for (const run of this.runs)
      if (run.id === id && run.state === 'begun') Object.assign(run, { state: 'ended', outcome })
    const parts = this.#queued.filter(({ spec }) => spec.parentId === id && spec.outlivesParent !== true)
    for (const { spec } of parts) {
      this.#refuse(spec.id, { refused: 'parent_ended', data: { id: spec.id, parentId: id } })
    }
    for (let next = this.#first(); next !== undefined && this.#hasRoom; next = this.#first()) this.#letIn(next)
    this.#lookAtWaits()
  }

  /** Waits for operations of which some may be queued. */
  wait(turnId: TurnId, members: readonly OperationId[]): OracleLineWait {
    const inLine = this.runs.filter(({ id, state }) => state === 'queued' && members.includes(id))
    const wait: OracleLineWait = { turnId, members, inLine, begun: undefined, refusal: undefined, isClosed: false }
    this.waits.push(wait)
    this.#lookAtWaits()
    return wait
  }

  /** Closes the session: queued operations never start. */
  close(): void {
    for (const run of this.runs) if (run.state === 'queued') run.state = 'closed'
    for (const wait of this.waits) if (wait.begun === undefined && wait.refusal === undefined) wait.isClosed = true
    this.#queued = []
  }

  /** Drops everything, because the process has died. */
  forget(): void {
    this.close()
    for (const run of this.runs) if (run.state === 'begun') run.state = 'closed'
    this.runs = []
    this.waits = []
    this.#refused = []
  }

  get #hasRoom(): boolean {
    const { limits } = this.#registry
    return this.#registry.liveOperations().length < (limits.maxConcurrent ?? Number.POSITIVE_INFINITY)
  }

  #nextTurn(): number {
    this.#turns += 1
    return this.#turns
  }

  #first(): Queued | undefined {
    const [first] = this.#queued
      .filter(({ turn }) => turn !== undefined)
      .toSorted((one, other) => (one.turn ?? 0) - (other.turn ?? 0))
    return first
  }

  #letIn(queued: Queued): void {
    const { spec, run } = queued
    this.#queued = this.#queued.filter((other) => other !== queued)
    this.#begin(spec, run)
    // Its children queue up behind those already there.
    for (const follower of this.#queued) if (follower.spec.parentId === spec.id) follower.turn ??= this.#nextTurn()
  }

  #begin(spec: OperationSpec, run: OracleLineRun): void {
    const verdict = this.#registry.register(spec, undefined)
    if (verdict.refused !== undefined) return this.#note(run, verdict)
    this.#registry.advance('start', spec.id)
    run.state = 'begun'
  }

  /** Refuses an operation and its queued followers, level by level. */
  #refuse(id: OperationId, refusal: Refusal): void {
    const doomed = this.#queued.filter(({ spec }) => spec.id === id).map((queued) => ({ queued, refusal }))
    for (const { queued, refusal } of doomed) {
      const { id: parentId } = queued.spec
      this.#queued = this.#queued.filter((other) => other !== queued)
      this.#note(queued.run, refusal)
      for (const follower of this.#queued) {
        if (follower.spec.parentId !== parentId || follower.turn !== undefined) continue
        const data = { id: follower.spec.id, parentId }
        doomed.push({ queued: follower, refusal: { refused: 'parent_not_found', data } })
      }
    }
  }

  #note(run: OracleLineRun, refusal: Refusal): void {
    run.state = 'refused'
    run.refusal = refusal
    this.#refused.push(run)
  }

  /** A wait begins once all its members have started, and is refused with the refusal of the first that is (O-158). */
  #lookAtWaits(): void {
    for (const wait of this.waits) {
      if (wait.begun !== undefined || wait.refusal !== undefined || wait.isClosed) continue
      const { inLine: named } = wait
      wait.refusal = this.#refused.find((run) => named.includes(run))?.refusal
      if (wait.refusal !== undefined || named.some(({ state }) => state === 'queued')) continue
      const { wait: begun, ...verdict } = this.#registry.waitAll(wait.turnId, wait.members)
      if (verdict.refused !== undefined) wait.refusal = verdict
      wait.begun = begun
    }
    // A session acknowledges the obligations of its own waits.
    for (const { begun } of this.waits) if (begun?.state === 'satisfied') begun.state = 'acknowledged'
  }
}
