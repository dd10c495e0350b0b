import * as restate from '@restatedev/restate-sdk'
import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError, StatewardError, type InvalidInput } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import { strictSchema, textOf } from '../base/options.js'
import {
  ProcessError,
  type AwaitOutput,
  type LeaseOwner,
  type ProcessEventType,
  type ProcessId,
  type RecoveryDisposition,
} from '../processes/index.js'
import { ownerSchema } from '../processes/lease.js'
import { outputSchema } from '../processes/output.js'
import {
  idSchema,
  jsonSchema,
  keySchema,
  naturalSchema,
  nameSchema,
  positiveSchema,
  takeId,
  textSchema,
} from '../processes/scalars.js'
import { OperationError } from '../operations/index.js'
import { ClaimError, isClaimCode } from './errors.js'
import type { FeedRows } from './object-feed.js'
import { feedServices } from './services.js'

/*
 * What crosses between clients, workers and the engine. Everything is decoded where it comes in; a refusal travels as its
 * code and data, and is the same error again on the other side.
 */

/** The request to start a process. */
export interface StartRequest {
  readonly id: ProcessId
  /** The kind of its definition. */
  readonly kind: string
  /** The content address of its definition. Only a worker with the same one may run it. */
  readonly envRef: string
  readonly input?: JsonValue
  readonly disposition: Exclude<RecoveryDisposition, 'externally_owned'>
  readonly maxAttempts?: number
  /** Event types of its log in addition to the built-in ones. Checked by the processes room. */
  readonly eventTypes: readonly ProcessEventType[]
  /** An awakeable to resolve with the output of the process. */
  readonly notify?: string
}

const startFields = {
  id: idSchema,
  kind: nameSchema,
  envRef: nameSchema,
  input: v.exactOptional(jsonSchema),
  disposition: v.picklist(['rerunnable', 'owner_bound']),
  maxAttempts: v.exactOptional(positiveSchema),
}
export const startSchema: v.GenericSchema<unknown, StartRequest> = strictSchema({
  ...startFields,
  eventTypes: v.custom<readonly ProcessEventType[]>(Array.isArray, 'not a list'),
  notify: v.exactOptional(keySchema),
})

/** The input of a process's workflow. */
export interface RunRequest extends Omit<StartRequest, 'notify' | 'eventTypes'> {
  /** The owner that its row belongs to. */
  readonly owner: string
}
export const runSchema: v.GenericSchema<unknown, RunRequest> = strictSchema({ ...startFields, owner: idSchema })

/** An attempt's request for the right to do a step. */
export interface ClaimRequest {
  readonly id: ProcessId
  readonly owner: LeaseOwner
  /** The step to be done. In owner-bound work, each step is started only once. */
  readonly step: string
  /**
   * The time of the request, in epoch milliseconds by the claimant's clock, so that the object need not record a time.
   */
  readonly atMs: number
  /** True if the claimant is an outside worker, not a run of the process. */
  readonly isOutside?: true
}
export const claimSchema: v.GenericSchema<unknown, ClaimRequest> = strictSchema({
  id: idSchema,
  owner: ownerSchema,
  step: keySchema,
  atMs: naturalSchema,
  isOutside: v.exactOptional(v.literal(true)),
})

/** The right of one attempt to write. */
export interface Claim {
  readonly fencingToken: number
  readonly attempt: number
}
export const claimedSchema: v.GenericSchema<unknown, Claim> = v.object({
  fencingToken: positiveSchema,
  attempt: positiveSchema,
})

const fenced = { id: idSchema, fencingToken: naturalSchema }
export const progressSchema = strictSchema({ ...fenced, message: v.exactOptional(textSchema) })

/** How a process ends. */
export interface SettleRequest {
  readonly id: ProcessId
  readonly output: AwaitOutput
  /** The token of the attempt that ends it. Absent if no attempt was started. */
  readonly fencingToken?: number
}
export const settleSchema: v.GenericSchema<unknown, SettleRequest> = strictSchema({
  id: idSchema,
  output: outputSchema,
  fencingToken: v.exactOptional(positiveSchema),
})

/** The answer to an end: the first end, whichever caller asks. */
export interface Settled {
  readonly seq: number
  readonly output: AwaitOutput
  /** False if it had already ended. */
  readonly isFirst: boolean
}
export const settledSchema: v.GenericSchema<unknown, Settled> = v.object({
  seq: positiveSchema,
  output: outputSchema,
  isFirst: v.boolean(),
})

export const cancelSchema = strictSchema({ id: idSchema, message: v.exactOptional(textSchema) })
export const appendSchema = strictSchema({
  id: idSchema,
  eventType: nameSchema,
  payload: jsonSchema,
  ordinal: positiveSchema,
})
export const askSchema = strictSchema({ id: idSchema, name: nameSchema, awakeable: keySchema })
export const signalSchema = strictSchema({ id: idSchema, name: nameSchema, payload: v.exactOptional(jsonSchema) })
export const waitingSchema = strictSchema({ awakeable: keySchema, after: naturalSchema })
export const sinceSchema = strictSchema({ after: naturalSchema, limit: v.pipe(positiveSchema, v.maxValue(1000)) })
export const nextSchema = strictSchema({
  service: v.picklist(feedServices),
  key: idSchema,
  after: naturalSchema,
  limit: positiveSchema,
})
export const watchedSchema = strictSchema({ id: idSchema, awakeable: keySchema })
export const endOfSchema = strictSchema({ service: v.picklist(feedServices), key: idSchema, id: idSchema })
export const forgetSchema = strictSchema({ through: naturalSchema })
export const cursorSchema = strictSchema({ consumer: nameSchema, cursor: naturalSchema })

/** One end in the feed of processes. */
export interface ProcessEnd {
  /** Its position in the feed, from 1, without gaps. */
  readonly seq: number
  readonly processId: ProcessId
  readonly kind: string
  readonly output: AwaitOutput
  /** Epoch milliseconds by the clock of the worker that wrote it. */
  readonly endedAtMs: number
}

/** A part of the feed of processes. */
export type FeedPage = FeedRows<ProcessEnd>
export const pageSchema: v.GenericSchema<unknown, FeedPage> = v.object({
  entries: v.array(
    v.object({
      seq: positiveSchema,
      processId: idSchema,
      kind: nameSchema,
      output: outputSchema,
      endedAtMs: naturalSchema,
    }),
  ),
  watermark: naturalSchema,
  droppedThrough: naturalSchema,
})
/** The shape of cursors. Not a record of the validation library, which drops names that every object has. */
export const cursorsSchema = v.custom<Readonly<Record<string, number>>>(
  (input) =>
    typeof input === 'object' && input !== null && Object.values(input).every((one) => v.is(naturalSchema, one)),
  ({ input }) => `not places by consumer: ${textOf(input)}`,
)

/** The answer to a waiting question. The value is a field, so that it can be absent. */
export interface Answer {
  readonly value?: JsonValue
}

/**
 * Checks an id that becomes part of a URL path on the engine: "." and ".." would mean other paths. Raises
 * `invalid_input`.
 */
export function takePathId(input: unknown, subject = 'process id'): string {
  const id = takeId(input, subject)
  if (id !== '.' && id !== '..') return id
  throw new InvalidInputError({ subject, field: '$', reason: `an id that is no place in a URL: "${id}"` })
}

/** Accepts an HTTP address. */
export const addressSchema = v.custom<string>(
  (input) => typeof input === 'string' && /^https?:/i.test(input) && URL.canParse(input),
  ({ input }) => `not an address of http or https: ${textOf(input)}`,
)

const mark = 'stateward '

/** A refusal as a terminal error of the engine, which is never retried. */
export function terminal(refusal: StatewardError): restate.TerminalError {
  const { code, data } = refusal
  return new restate.TerminalError(mark + JSON.stringify({ code, data }), {
    errorCode: code === 'invalid_input' ? 400 : code === 'process.unknown' || code === 'not_found' ? 404 : 409,
  })
}

/** The refusal encoded in an error text of the engine. `undefined` for any other text. */
export function refusalIn(text: string): StatewardError | undefined {
  const start = text.indexOf(mark + '{')
  if (start === -1) return undefined
  try {
    const { code, data } = JSON.parse(text.slice(start + mark.length)) as { code: string; data: unknown }
    if (code === 'invalid_input') return new InvalidInputError(data as InvalidInput)
    if (code.startsWith('process.')) return new ProcessError(code as never, data as never)
    return isClaimCode(code) ? new ClaimError(code, data as never) : new OperationError(code as never, data as never)
  } catch {
    // It only looks alike.
    return undefined
  }
}

/** Decodes the request of a handler. Malformed or refused requests are terminal errors. */
export function door<Context, Request, Answered>(
  schema: v.GenericSchema<unknown, Request>,
  subject: string,
  answer: (context: Context, request: Request) => Promise<Answered>,
): (context: Context, input: unknown) => Promise<Answered> {
  return async (context, input) => {
    try {
      return await answer(context, decode(schema, input, subject))
    } catch (thrown) {
      if (StatewardError.is(thrown)) throw terminal(thrown)
      throw thrown
    }
  }
}

export { idSchema }
