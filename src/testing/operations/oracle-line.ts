import type { OperationId, OperationSpec, TurnId } from '../../../machines/operation-vocabulary.js'
import type { OperationOutcome } from '../../../machines/operation-vocabulary.js'
import type { OracleLimits, OracleLineWait, OracleLineRun, OracleWait, Refusal, Verdict } from './rows.js'

/** What the line asks of the model of the registry. */
interface Registry {
  readonly limits: OracleLimits
  readonly known: Set<OperationId>
  liveOperations(): readonly unknown[]
  register(spec: OperationSpec, limit: number | undefined): Verdict
  advance(action: 'start', id: OperationId): Verdict
  waitAll(turnId: TurnId, members: readonly OperationId[]): Verdict & { readonly wait?: OracleWait }
}

/** One in line; it has no turn while what it is a part of is in line itself. */
interface Queued {
  readonly spec: OperationSpec
  readonly run: OracleLineRun
  turn: number | undefined
}

/** An independent model of the line before a registry (O-155 to O-159, O-161): lists, searched through. */
export class OracleLine {
  /** Every operation of this life that was to run as soon as there is room. */
  runs: OracleLineRun[] = []
  waits: OracleLineWait[] = []
  readonly #registry: Registry
  /** In the order in which they were refused. */
  #refused: OracleLineRun[] = []
  #queued: Queued[] = []
  #turns = 0

  constructor(registry: Registry) {
    this.#registry = registry
  }

  /** Who stands in line, in the order in which they came. */
  get ids(): readonly OperationId[] {
    return this.#queued.map(({ spec }) => spec.id)
  }

  /** Begins an operation now, later, or not at all. */
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

  /** Takes one out of the line. */
  cancel(id: OperationId): void {
    this.#refuse(id, { refused: 'cancelled_in_line', data: { id, reason: null } })
    this.#lookAtWaits()
  }

  /** An operation has ended: what is in line below it never begins, and others may. */
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

  /** Waits for operations of which some may be in line. */
  wait(turnId: TurnId, members: readonly OperationId[]): OracleLineWait {
    const inLine = this.runs.filter(({ id, state }) => state === 'queued' && members.includes(id))
    const wait: OracleLineWait = { turnId, members, inLine, begun: undefined, refusal: undefined, isClosed: false }
    this.waits.push(wait)
    this.#lookAtWaits()
    return wait
  }

  /** The session is over; those in line never begin. */
  close(): void {
    for (const run of this.runs) if (run.state === 'queued') run.state = 'closed'
    for (const wait of this.waits) if (wait.begun === undefined && wait.refusal === undefined) wait.isClosed = true
    this.#queued = []
  }

  /** Its process is gone. */
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
    // Its parts come in line behind those who stood there already.
    for (const follower of this.#queued) if (follower.spec.parentId === spec.id) follower.turn ??= this.#nextTurn()
  }

  #begin(spec: OperationSpec, run: OracleLineRun): void {
    const verdict = this.#registry.register(spec, undefined)
    if (verdict.refused !== undefined) return this.#note(run, verdict)
    this.#registry.advance('start', spec.id)
    run.state = 'begun'
  }

  /** With it those that follow it, level by level. */
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

  /** Waits begin once all that they name has begun, and are refused as the first of it that is (O-158). */
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
    // A session acknowledges what it has waited for.
    for (const { begun } of this.waits) if (begun?.state === 'satisfied') begun.state = 'acknowledged'
  }
}
