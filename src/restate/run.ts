import * as restate from '@restatedev/restate-sdk'
import { systemClock } from '../base/clock.js'
import { InvalidInputError, messageOf, type StatewardError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import { checkSize } from '../processes/scalars.js'
import { checkValue, decodeValue, encodeValue, type Schema } from '../work/values.js'
import { pause } from './attach.js'
import { neverAborted } from './connection.js'
import type { EngineWaits } from './engine-waits.js'
import type { RetryPolicy } from './retry.js'
import type { RunScope } from './run-scope.js'
import { isThrown } from './thrown.js'
import { refusalIn } from './wire.js'

/** Code to run, with its schemas. */
export interface Runnable<Scope> {
  /** Its name in messages. */
  readonly name: string
  readonly input?: Schema
  readonly output?: Schema
  readonly run: (input: unknown, scope: Scope) => unknown
  /** The reason of its signal after it has ended. */
  readonly over: StatewardError
}

/** How a run ended, and under which fencing token. 0 if nothing was done. */
export type Ran = { readonly fencingToken: number } & (
  | { readonly type: 'returned'; readonly value: JsonValue | undefined }
  | { readonly type: 'threw'; readonly thrown: unknown }
  | { readonly type: 'input_refused' | 'output_refused'; readonly refusal: InvalidInputError }
  /** It was told to stop. */
  | { readonly type: 'cancelled' }
  /** It was refused the right to continue, whatever its code made of the refusal. */
  | { readonly type: 'refused'; readonly refusal: StatewardError }
)

/** Runs code in its scope. Rejects with errors that the engine must see, for instance that this attempt is over. */
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
      if (!isThrown(refusal, InvalidInputError)) throw refusal
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
      if (!isThrown(refused, InvalidInputError)) throw refused
      return { type: 'output_refused', refusal: refused, fencingToken, scope }
    }
  } catch (thrown) {
    if (isThrown(thrown, restate.CancelledError)) {
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

/** How long to wait for a cancel, in milliseconds. The engine delivers it together with the attempt. */
const heardMs = 20

/**
 * Ends a run whose code is not on this worker. Rejects with a plain error rather than a refusal, so that the engine may
 * try a worker that has the code. A cancel is answered all the same, because no worker may ever have the code.
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

/** Writes the end of a run. Resolves with the end that counts, which may be an earlier one. */
export async function writeEnd<Ended>(
  ctx: restate.WorkflowContext,
  waits: EngineWaits,
  write: () => restate.RestatePromise<Ended>,
  isSuperseded: (refusal: StatewardError | undefined) => boolean,
): Promise<Ended> {
  for (;;) {
    try {
      return await waits.on(write())
    } catch (thrown) {
      // Cancelled: its end was on the way, and so was another one. The first of them stands.
      if (thrown instanceof restate.CancelledError) continue
      if (!isSuperseded(refusalIn(messageOf(thrown)))) throw thrown
    }
    try {
      // Somebody outside has claimed it: whoever ends it cancels this run.
      await waits.on(ctx.awakeable().promise)
    } catch (thrown) {
      if (!(thrown instanceof restate.CancelledError)) throw thrown
    }
  }
}

/** Engine options for the workflow of a run. */
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
