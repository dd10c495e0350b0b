import * as v from 'valibot'
import type { JsonValue } from '../base/json.js'
import { strictSchema, textSchema } from '../base/options.js'
import { cursorConsumers, type OperationId, type OperationOutcome } from '../../machines/index.js'
import type { CompletionEntry } from '../operations/index.js'
import { count, kind, outcome, uuid } from '../operations/vocabulary.js'
import {
  jsonSchema,
  keySchema,
  nameSchema,
  naturalSchema,
  positiveSchema,
  textSchema as boundedTextSchema,
} from '../processes/scalars.js'
import type { FeedRows } from './object-feed.js'
import { ownerSchema } from '../processes/lease.js'
import type { LeaseOwner } from '../processes/index.js'

/* What crosses between clients, workers and the sessions on the engine; the rules are those of wire.ts. */

const operationId = uuid<OperationId>()
const idField = { id: operationId }
const token = v.exactOptional(positiveSchema)
/** Checked by the operations room, whose refusals name the field. */
const judged = v.unknown()

/** Which definition an operation runs, and how. */
export interface WorkRequest {
  readonly name: string
  readonly disposition: 'rerunnable' | 'owner_bound'
  readonly maxAttempts?: number
  /** Milliseconds after which the operation fails. */
  readonly deadlineMs?: number
}
const workSchema: v.GenericSchema<unknown, WorkRequest> = strictSchema({
  name: nameSchema,
  disposition: v.picklist(['rerunnable', 'owner_bound']),
  maxAttempts: v.exactOptional(positiveSchema),
  deadlineMs: v.exactOptional(naturalSchema),
})

export const registerSchema = strictSchema({
  spec: judged,
  limit: v.exactOptional(naturalSchema),
  work: v.exactOptional(workSchema),
})

/** The input of an operation's workflow. */
export interface OperationRunRequest {
  readonly id: OperationId
  readonly session: string
  readonly work: WorkRequest
  readonly input?: JsonValue
}
export const operationRunSchema: v.GenericSchema<unknown, OperationRunRequest> = strictSchema({
  ...idField,
  session: textSchema(),
  work: workSchema,
  input: v.exactOptional(jsonSchema),
})

/** A request to claim an operation. */
export interface OperationClaimRequest {
  readonly id: OperationId
  readonly owner: LeaseOwner
  readonly step: string
  /** The time of the request, in epoch milliseconds by the claimant's clock. */
  readonly atMs: number
  readonly isOutside?: true
}
export const operationClaimSchema: v.GenericSchema<unknown, OperationClaimRequest> = strictSchema({
  ...idField,
  owner: ownerSchema,
  step: keySchema,
  atMs: naturalSchema,
  isOutside: v.exactOptional(v.literal(true)),
})

export const reportSchema = strictSchema({
  ...idField,
  fencingToken: token,
  message: judged,
  fraction: v.exactOptional(judged),
})
export const advanceSchema = strictSchema({ ...idField, action: v.picklist(['start', 'retire_requested']) })

/** How an operation ends. */
export interface EndRequest {
  readonly id: OperationId
  readonly action: (typeof endActions)[number]
  readonly outcome: OperationOutcome
  readonly fencingToken?: number
  /**
   * True if sent by its own run. If the operation has already ended, the run then gets that end instead of a refusal.
   */
  readonly isRun?: true
}
const endActions = ['complete', 'fail', 'abort', 'cancel', 'retire_completed', 'terminate'] as const
export const endSchema: v.GenericSchema<unknown, EndRequest> = strictSchema({
  ...idField,
  action: v.picklist(endActions),
  outcome: judged,
  fencingToken: token,
  isRun: v.exactOptional(v.literal(true)),
}) as never

/** The end of an operation that counts. */
export interface Ended {
  readonly outcome: OperationOutcome
  /** Its position in the feed. Absent if operations of its kind are not in the feed. */
  readonly seq?: number
  /** False if it had already ended. */
  readonly isFirst: boolean
}

/** The result of an operation's workflow. */
export interface OperationAnswer {
  readonly outcome: OperationOutcome
  /** What its work returned. Absent if the operation was not ended by its own work. */
  readonly returned?: { readonly value?: JsonValue }
}
export const answerSchema: v.GenericSchema<unknown, OperationAnswer> = v.object({
  outcome,
  returned: v.exactOptional(v.object({ value: v.exactOptional(jsonSchema) })),
})

export const expireSchema = strictSchema({ ...idField, deadlineMs: naturalSchema })
export const limitSchema = strictSchema({ maxConcurrent: naturalSchema })
export const closeSchema = strictSchema({ reason: boundedTextSchema })
export const consumerSchema = strictSchema({ consumer: v.picklist(cursorConsumers), cursor: naturalSchema })
export const listSchema = strictSchema({ isLive: v.boolean() })
export const operationIdSchema = operationId

const ids = v.pipe(v.array(operationId), v.maxLength(1000, 'more than 1000 operations'))
export const waitForAllSchema = strictSchema({ session: textSchema(), ids })
export const watchSchema = strictSchema({
  members: v.array(strictSchema({ ...idField, awakeable: keySchema })),
})
export const outcomesSchema: v.GenericSchema<unknown, readonly OperationOutcome[]> = v.array(outcome)

/** A part of the feed of a session. */
export type CompletionPage = FeedRows<CompletionEntry>
export const completionPageSchema: v.GenericSchema<unknown, CompletionPage> = v.object({
  entries: v.array(
    v.object({
      seq: positiveSchema,
      operationId,
      kind,
      displayName: v.string(),
      outcome,
      completedAtMs: v.nullable(count),
    }),
  ),
  watermark: naturalSchema,
  droppedThrough: naturalSchema,
})
