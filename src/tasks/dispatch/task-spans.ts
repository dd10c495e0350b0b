import type { Logger } from '../../base/logger.js'
import { messageOf } from '../../base/errors.js'
import { createObserverGuard, type ObserverGuard } from '../../base/observers.js'
import { silence } from '../../base/promises.js'
import { JobSpan, spanKinds, type Tracer } from '../../work/job-span.js'
import type { AttemptId, RunId, TaskId } from '../ids.js'
import type { AttemptOutcome } from '../attempt-outcome.js'
import type { TaskSpec } from '../task-spec.js'

/** The trace context that a submission stores. */
export interface TraceOfSubmission {
  readonly traceparent?: string
}

/** The task id of a submission's result; `undefined` for several tasks. */
type TaskIdOf<Result> = (result: Result) => TaskId | undefined

/** Submits within a span if there is a tracer. */
export function submitWithin<Result>(
  spans: TaskSpans | undefined,
  destination: string,
  submit: (trace: TraceOfSubmission) => Promise<Result>,
  taskIdOf: TaskIdOf<Result>,
): Promise<Result> {
  return spans === undefined ? submit({}) : silence(spans.submit(destination, submit, taskIdOf))
}

/** Identifies a traced attempt. */
export interface TracedAttempt {
  readonly taskId: TaskId
  readonly runId: RunId
  readonly attemptId: AttemptId
  readonly attemptNumber: number
  readonly task: TaskSpec
}

const system = { 'messaging.system': 'stateward' } as const

/**
 * The spans of tasks, named by the OpenTelemetry conventions for messaging: a task is a message, its kind the
 * destination. A submission is a `PRODUCER` span below the active one. Each attempt is a `CONSUMER` span with its own
 * trace, possibly days later in another process, and links to the submission.
 */
export class TaskSpans {
  readonly #tracer: Tracer
  readonly #guard: ObserverGuard

  constructor(tracer: Tracer, logger: Logger) {
    this.#tracer = tracer
    this.#guard = createObserverGuard(logger, 'the tracer threw')
  }

  /**
   * Submits within a span, which ends when the submission is durable or refused. A `traceparent` given by the caller is
   * kept.
   */
  async submit<Result>(
    destination: string,
    submit: (trace: TraceOfSubmission) => Promise<Result>,
    taskIdOf: TaskIdOf<Result>,
  ): Promise<Result> {
    const span = new JobSpan(
      this.#tracer,
      {
        name: `submit ${destination}`,
        kind: spanKinds.producer,
        attributes: {
          ...system,
          'messaging.operation.type': 'send',
          'messaging.operation.name': 'submit',
          'messaging.destination.name': destination,
        },
        outcomeAttribute: 'stateward.submit.outcome',
      },
      this.#guard,
    )
    const { traceparent } = span
    try {
      const result = await submit(traceparent === undefined ? {} : { traceparent })
      const taskId = taskIdOf(result)
      if (taskId !== undefined) {
        span.setAttribute('messaging.message.id', taskId)
        span.setAttribute('stateward.task.id', taskId)
      }
      span.end('accepted')
      return result
    } catch (refusal) {
      span.end('refused', { message: messageOf(refusal), type: 'refused' })
      throw refusal
    }
  }

  /** Starts the span of an attempt. */
  attempt({ task, taskId, runId, attemptId, attemptNumber }: TracedAttempt): JobSpan {
    const { kind, traceparent } = task
    const attributes = {
      ...system,
      'messaging.operation.type': 'process',
      'messaging.operation.name': 'attempt',
      'messaging.destination.name': kind,
      'messaging.message.id': taskId,
      'stateward.task.id': taskId,
      'stateward.task.kind': kind,
      'stateward.run.id': runId,
      'stateward.attempt.id': attemptId,
      'stateward.attempt.number': attemptNumber,
    }
    return new JobSpan(
      this.#tracer,
      {
        name: `attempt ${kind}`,
        kind: spanKinds.consumer,
        root: true,
        attributes,
        outcomeAttribute: 'stateward.attempt.outcome',
        linkTo: traceparent,
      },
      this.#guard,
    )
  }
}

/** Ends the span of an attempt. A suspension is not an error: the run goes on later. */
export function endAttemptSpan(span: JobSpan | undefined, outcome: AttemptOutcome): void {
  if (span === undefined) return
  const { result } = outcome
  if (result === 'success' || result === 'suspended') return span.end(result)
  const cause = result === 'failure' ? outcome.cause : undefined
  span.end(result, { message: outcome.error, type: result, ...(cause !== undefined && { cause }) })
}
