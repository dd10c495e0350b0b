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

/** What a process is started with. */
export interface StartRequest {
  readonly id: ProcessId
  /** The kind of its definition. */
  readonly kind: string
  /** The state of the code that may run it: the content address of its definition. */
  readonly envRef: string
  readonly input?: JsonValue
  readonly disposition: Exclude<RecoveryDisposition, 'externally_owned'>
  readonly maxAttempts?: number
  /** What its log may hold beside the types of all processes; judged by the room. */
  readonly eventTypes: readonly ProcessEventType[]
  /** An awakeable that is resolved with what the process comes to. */
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

/** What the workflow of a process is given. */
export interface RunRequest extends Omit<StartRequest, 'notify' | 'eventTypes'> {
  /** The owner under whom its row is. */
  readonly owner: string
}
export const runSchema: v.GenericSchema<unknown, RunRequest> = strictSchema({ ...startFields, owner: idSchema })

/** What one attempt asks before it does a step. */
export interface ClaimRequest {
  readonly id: ProcessId
  readonly owner: LeaseOwner
  /** The step that is about to be done: of what is bound to its owner, each is begun once. */
  readonly step: string
  /** When it is asked, in epoch milliseconds by the clock of who asks: so the session need not record an instant of its own. */
  readonly atMs: number
  /** Asked by somebody who is not a run of the process. */
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
  /** That of the attempt which ends it; absent where no attempt was begun. */
  readonly fencingToken?: number
}
export const settleSchema: v.GenericSchema<unknown, SettleRequest> = strictSchema({
  id: idSchema,
  output: outputSchema,
  fencingToken: v.exactOptional(positiveSchema),
})

/** What an end was answered with: that of the first one, whoever asks. */
export interface Settled {
  readonly seq: number
  readonly output: AwaitOutput
  /** False when it had ended before. */
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
export const forgetSchema = strictSchema({ through: naturalSchema })
export const cursorSchema = strictSchema({ consumer: nameSchema, cursor: naturalSchema })

/** One end in the feed of processes. */
export interface ProcessEnd {
  /** Its place in the feed, from 1, without gaps. */
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
/** Not a record of the library, which drops names that every object has. */
export const cursorsSchema = v.custom<Readonly<Record<string, number>>>(
  (input) =>
    typeof input === 'object' && input !== null && Object.values(input).every((one) => v.is(naturalSchema, one)),
  ({ input }) => `not places by consumer: ${textOf(input)}`,
)

/** What a waiting question is answered with; the value is a field, so that nothing at all can be said, too. */
export interface Answer {
  readonly value?: JsonValue
}

/** Takes an id that has a path of its own on the engine: "." and ".." mean other paths in every URL. Raises `invalid_input`. */
export function takePathId(input: unknown, subject = 'process id'): string {
  const id = takeId(input, subject)
  if (id !== '.' && id !== '..') return id
  throw new InvalidInputError({ subject, field: '$', reason: `an id that is no place in a URL: "${id}"` })
}

/** Accepts an address that can be called. */
export const addressSchema = v.custom<string>(
  (input) => typeof input === 'string' && /^https?:/i.test(input) && URL.canParse(input),
  ({ input }) => `not an address of http or https: ${textOf(input)}`,
)

const mark = 'stateward '

/** A refusal as the engine carries it: final, never tried again. */
export function terminal(refusal: StatewardError): restate.TerminalError {
  const { code, data } = refusal
  return new restate.TerminalError(mark + JSON.stringify({ code, data }), {
    errorCode: code === 'invalid_input' ? 400 : code === 'process.unknown' || code === 'not_found' ? 404 : 409,
  })
}

/** The refusal that a text of the engine carries; `undefined` for any other text. */
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

/** Decodes at a door of the engine; what does not fit, or is refused, is final. */
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
