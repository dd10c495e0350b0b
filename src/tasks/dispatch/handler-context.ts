import { InvalidInputError } from '../../base/errors.js'
import type { IdSource } from '../../base/ids.js'
import type { JsonValue } from '../../base/json.js'
import { textOf } from '../../base/options.js'
import { silence } from '../../base/promises.js'
import type { Callable, DurableContext, WaitForOptions } from '../../work/durable-context.js'
import type { Schema } from '../../work/values.js'
import { decodeBytes } from '../bytes.js'
import { jsonOf, valueOf } from '../content.js'
import type { AttemptId, RunId, TaskId } from '../ids.js'
import type { TaskMutations } from '../authority.js'
import { outcomeOf, outputValue } from '../outcome.js'
import { hasEnded, phaseOf } from '../task.js'
import type { Run } from '../run.js'
import type { TaskSpec } from '../task-spec.js'
import type { TaskProjection } from '../view.js'
import { checkHeld, effectiveAttempts } from './attempt-changes.js'
import type { Attempt } from './attempt.js'
import type { BudgetAccess, ChildView, HandlerContext, PrerequisiteView } from './handler.js'
import { decodeChild, type SubmitInput, submitInto } from './submission.js'
import type { TaskClock } from './task-clock.js'
import type { TaskSpans, TraceOfSubmission } from './task-spans.js'

/** What the context of a handler reads and writes. */
export interface AttemptContextOptions {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly ids: IdSource
  readonly times: TaskClock
  /** Traces submissions. */
  readonly spans?: TaskSpans
}

/**
 * The context of one attempt. Its parts are created when its handler first uses them, since most handlers use few. Its
 * functions do not depend on `this`, so a handler may destructure them.
 */
export class AttemptContext implements HandlerContext {
  readonly #attempt: Attempt
  readonly #options: AttemptContextOptions
  #payload: Uint8Array | undefined

  constructor(attempt: Attempt, options: AttemptContextOptions) {
    this.#attempt = attempt
    this.#options = options
  }

  get task(): TaskSpec {
    return this.#attempt.task
  }

  get taskId(): TaskId {
    return this.#attempt.taskId
  }

  get runId(): RunId {
    return this.#attempt.runId
  }

  get attemptId(): AttemptId {
    return this.#attempt.attemptId
  }

  get attemptNumber(): number {
    return effectiveAttempts(this.#attempt.run)
  }

  get scheduledAt(): Date {
    return new Date(this.#attempt.run.scheduledAtMs)
  }

  get fencingToken(): number {
    return this.#attempt.fencingToken
  }

  get payload(): Uint8Array {
    this.#payload ??= decodeBytes(this.#attempt.task.payload.bytes)
    return this.#payload
  }

  get input(): unknown {
    return valueOf(this.payload, this.#attempt.task.payload.contentType, 'task payload')
  }

  get text(): () => string {
    return () => utf8Of(this.payload)
  }

  get json(): () => JsonValue {
    return () => jsonOf(this.payload, 'task payload')
  }

  get resumeFrom(): Uint8Array | undefined {
    return lastSuspendedOutput(this.#attempt.run)
  }

  get signal(): AbortSignal {
    return this.#attempt.job.signal
  }

  get retiring(): AbortSignal {
    return this.#attempt.job.retiring
  }

  get step(): DurableContext['step'] {
    const { durable } = this.#attempt
    return (name, work, options) => silence(durable.step(name, work, options))
  }

  get waitFor(): DurableContext['waitFor'] {
    const { durable } = this.#attempt
    return (name: string, schema?: Schema, options?: WaitForOptions) =>
      silence(schema === undefined ? durable.waitFor(name, schema, options) : durable.waitFor(name, schema, options))
  }

  get sleep(): DurableContext['sleep'] {
    const { durable } = this.#attempt
    return (durationMs) => silence(durable.sleep(durationMs))
  }

  get sleepUntil(): DurableContext['sleepUntil'] {
    const { durable } = this.#attempt
    return (instant) => silence(durable.sleepUntil(instant))
  }

  get call(): DurableContext['call'] {
    const { durable } = this.#attempt
    return <Input, Output>(callable: Callable<Input, Output> | string, input?: unknown) =>
      silence(typeof callable === 'string' ? durable.call(callable, input) : durable.call(callable, input as Input))
  }

  get progress(): (message: string, fraction?: number) => void {
    return (message, fraction) => {
      if (fraction !== undefined && !(fraction >= 0 && fraction <= 1)) {
        const reason = `not a fraction from 0 to 1: ${textOf(fraction)}`
        throw new InvalidInputError({ subject: 'progress', field: 'fraction', reason })
      }
      this.#attempt.job.reportProgress({ message, ...(fraction !== undefined && { fraction }) })
    }
  }

  get budget(): BudgetAccess {
    return this.#attempt.account
  }

  get submit(): (child: Omit<SubmitInput, 'parentTaskId'>) => Promise<TaskId> {
    return (child) => this.#submit(child)
  }

  get children(): () => readonly ChildView[] {
    const { projection } = this.#options
    return () => Array.from(projection.children(this.taskId), (child) => childView(projection, child))
  }

  get prerequisites(): () => readonly PrerequisiteView[] {
    const { projection } = this.#options
    return () => projection.prerequisites(this.taskId).flatMap((taskId) => prerequisiteView(projection, taskId))
  }

  #submit(child: Omit<SubmitInput, 'parentTaskId'>): Promise<TaskId> {
    const { mutations, times, ids, spans } = this.#options
    const input = (): SubmitInput => ({ ...decodeChild(child), parentTaskId: this.taskId })
    if (spans !== undefined) return silence(this.#submitWithin(spans, input))
    // The promise of the transaction already has a handler, so not awaiting a refused submission causes no unhandled
    // rejection.
    return mutations.transact((batch) => {
      const decoded = input()
      checkHeld(batch, this.#attempt)
      return submitInto(batch, decoded, times.wall(), ids)
    })
  }

  async #submitWithin(spans: TaskSpans, input: () => SubmitInput): Promise<TaskId> {
    const { mutations, times, ids } = this.#options
    const decoded = input()
    const submit = (trace: TraceOfSubmission): Promise<TaskId> =>
      mutations.transact((batch) => {
        checkHeld(batch, this.#attempt)
        return submitInto(batch, { ...trace, ...decoded }, times.wall(), ids)
      })
    return spans.submit(decoded.kind, submit, (taskId) => taskId)
  }
}

function utf8Of(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}

function lastSuspendedOutput({ attempts }: Run): Uint8Array | undefined {
  const outcome = attempts.findLast(({ outcome: ended }) => ended !== undefined)?.outcome
  return outcome?.result === 'suspended' && outcome.output !== undefined ? decodeBytes(outcome.output) : undefined
}

function childView(projection: TaskProjection, taskId: TaskId): ChildView {
  const runs = projection.runsOf(taskId).map(({ state }) => state)
  return { taskId, runs, isFinished: hasEnded(projection.task(taskId)) }
}

function prerequisiteView(projection: TaskProjection, taskId: TaskId): readonly PrerequisiteView[] {
  const task = projection.task(taskId)
  if (task === undefined) return []
  const outcome = outcomeOf(projection, taskId)
  const output = outcome === undefined ? undefined : outputValue(outcome)
  const error = outcome?.error
  return [{ taskId, kind: task.spec.kind, status: phaseOf(task), output, ...(error !== undefined && { error }) }]
}
