import * as restate from '@restatedev/restate-sdk'
import { systemClock } from '../base/clock.js'
import { InvalidInputError, messageOf, type StatewardError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import { checkSize } from '../processes/scalars.js'
import { checkValue, decodeValue, encodeValue, type Schema } from '../work/values.js'
import { pause } from './attach.js'
import { neverAborted } from './connection.js'
import type { RetryPolicy } from './retry.js'
import type { RunScope } from './run-scope.js'
import { refusalIn } from './wire.js'

/** What is run: code, and what it takes and gives back. */
export interface Runnable<Scope> {
  /** For messages: what it is called. */
  readonly name: string
  readonly input?: Schema
  readonly output?: Schema
  readonly run: (input: unknown, scope: Scope) => unknown
  /** Why its signal aborts once it is over. */
  readonly over: StatewardError
}

/** What one run has come to; each says under which token, 0 where nothing was done. */
export type Ran = { readonly fencingToken: number } & (
  | { readonly type: 'returned'; readonly value: JsonValue | undefined }
  | { readonly type: 'threw'; readonly thrown: unknown }
  | { readonly type: 'input_refused' | 'output_refused'; readonly refusal: InvalidInputError }
  /** It was told to stop. */
  | { readonly type: 'cancelled' }
  /** It was refused the right to go on, whatever its code has made of the refusal. */
  | { readonly type: 'refused'; readonly refusal: StatewardError }
)

/** Runs code in its scope. Rejects with what the engine has to hear: that this attempt is over, for instance. */
export async function runIn<Scope extends RunScope>(
  { name, input: inputSchema, output: outputSchema, run, over }: Runnable<Scope>,
  given: JsonValue | undefined,
  scopeOf: (input: unknown) => Scope,
): Promise<Ran & { readonly scope?: Scope }> {
  let input = decodeValue(given)
  let scope: Scope | undefined
  try {
    try {
      if (inputSchema !== undefined) input = await checkValue(inputSchema, input, `input of ${name}`)
    } catch (refusal) {
      if (!(refusal instanceof InvalidInputError)) throw refusal
      return { type: 'input_refused', refusal, fencingToken: 0 }
    }
    scope = scopeOf(input)
    const returned = await run(input, scope)
    const { fencingToken, refusal } = scope
    if (refusal !== undefined) return { type: 'refused', refusal, fencingToken, scope }
    try {
      const subject = `output of ${name}`
      if (outputSchema !== undefined) await checkValue(outputSchema, returned, subject)
      const value = encodeValue(returned, subject)
      if (value !== undefined) checkSize(value, subject, 'value')
      return { type: 'returned', value, fencingToken, scope }
    } catch (refused) {
      if (!(refused instanceof InvalidInputError)) throw refused
      return { type: 'output_refused', refusal: refused, fencingToken, scope }
    }
  } catch (thrown) {
    if (thrown instanceof restate.CancelledError) {
      scope?.stop(thrown)
      return { type: 'cancelled', fencingToken: 0 }
    }
    const fencingToken = scope?.fencingToken ?? 0
    const refusal = scope?.refusal
    const own = scope === undefined ? {} : { scope }
    if (refusal !== undefined) return { type: 'refused', refusal, fencingToken, ...own }
    return { type: 'threw', thrown, fencingToken, ...own }
  } finally {
    scope?.stop(over)
  }
}

/** For how long the engine is listened to, in milliseconds: what it has to say comes with the attempt. */
const heardMs = 20

/**
 * What becomes of a run whose code is not here. Rejects, which is no refusal: a worker that has it may be asked next. But a
 * cancel is heard by whoever has the run, for nobody may ever have its code.
 */
export async function runAbsent(ctx: restate.WorkflowContext, missing: string): Promise<Ran> {
  // Resolved by nobody; an awakeable leaves nothing in the journal that other code would stumble over.
  const cancelled = ctx.awakeable().promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  const heard = await Promise.race([cancelled, pause(systemClock, heardMs, neverAborted)])
  if (heard instanceof restate.CancelledError) return { type: 'cancelled', fencingToken: 0 }
  throw new Error(missing)
}

/** Writes the end of a run, and hears the one that stands. */
export async function writeEnd<Ended>(
  ctx: restate.WorkflowContext,
  write: () => PromiseLike<Ended>,
  isSuperseded: (refusal: StatewardError | undefined) => boolean,
): Promise<Ended> {
  for (;;) {
    try {
      return await write()
    } catch (thrown) {
      // Cancelled: its end was on the way, and so was another one. The first of them stands.
      if (thrown instanceof restate.CancelledError) continue
      if (!isSuperseded(refusalIn(messageOf(thrown)))) throw thrown
    }
    try {
      // Somebody outside has claimed it: whoever ends it cancels this run.
      await ctx.awakeable().promise
    } catch (thrown) {
      if (!(thrown instanceof restate.CancelledError)) throw thrown
    }
  }
}

/** How the workflow of a run is served. */
export function workflowOptions(retryPolicy: RetryPolicy, retentionMs: number) {
  return {
    workflowRetention: retentionMs,
    retryPolicy,
    // Other code than the one that wrote the journal: trying again would never help.
    onJournalMismatchErrors: 'pause',
    // Left alone for a minute it is put aside; a step that takes longer must not be.
    inactivityTimeout: 60_000,
    abortTimeout: 24 * 3_600_000,
  } as const
}
