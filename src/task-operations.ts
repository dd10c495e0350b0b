import { StatewardError } from './base/errors.js'
import type { Session } from './operations/session.js'
import type { AttemptDescription, AttemptRunner, AttemptScope } from './tasks/index.js'

/** Name of the session in which attempts of tasks are operations; callers cannot choose it. */
export const attemptsSessionName = '(attempts of tasks)'

/** Raised in an attempt with code `attempt_ended_outside` when somebody ended its operation; the attempt fails and may be retried. */
export class AttemptEndedOutside extends StatewardError<'attempt_ended_outside', { readonly outcome: string }> {
  override readonly name = 'AttemptEndedOutside'

  constructor(outcome: string) {
    super('attempt_ended_outside', `the operation of the attempt ended as ${outcome}`, { outcome })
  }
}

/** Makes every attempt an operation of a session, so that one place shows everything running. */
export function createSessionRunner(session: () => Session): AttemptRunner {
  return {
    run: (attempt, work) =>
      new Promise((resolve, reject) => {
        const { outcome } = session().run(requestFor(attempt), async (context) => {
          const answer = work(scopeOf(attempt, context))
          // The answer goes its own way: an operation keeps text, a handler may return anything.
          answer.then(resolve, reject)
          await answer
        })
        outcome.then(({ type }) => reject(new AttemptEndedOutside(type)), reject)
      }),
  }
}

function scopeOf({ signal }: AttemptDescription, { signal: ended, progress }: AttemptScope): AttemptScope {
  return { signal: AbortSignal.any([signal, ended]), progress }
}

function requestFor({ task }: AttemptDescription) {
  const displayName = task.metadata.description ?? task.kind
  return { kind: 'background_tool_op', displayName: displayName.slice(0, 256), sourceLabel: `task ${task.id}` } as const
}
