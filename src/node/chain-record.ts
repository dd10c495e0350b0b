import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { actionKinds } from './action.js'
import { adminEventSchema } from './admin-event.js'
import { daemonIdSchema, epochIdSchema, nodeIdSchema, operatorIdSchema } from './ids.js'
import {
  rejectionKinds,
  type ActionChainRecord,
  type ActionDisposition,
  type AdminAuditRecord,
  type FailureRecord,
  type LogRecord,
  type VerificationOutcome,
} from './records.js'
import { naturalSchema, positiveSchema } from './scalars.js'
import { logLevelSchema } from './vocabulary.js'

/** The four chains of a node: what it did, what failed, what operators asked for, and log lines. */
export const chainNames = ['action', 'failure', 'audit', 'log'] as const
export type ChainName = (typeof chainNames)[number]

/** The record type of each chain. */
export interface ChainRecords {
  readonly action: ActionChainRecord
  readonly failure: FailureRecord
  readonly audit: AdminAuditRecord
  readonly log: LogRecord
}

const outcomeSchema: v.GenericSchema<unknown, VerificationOutcome> = v.variant('status', [
  strictSchema({ status: v.picklist(['accepted', 'unverified']) }),
  strictSchema({ status: v.literal('rejected'), kind: v.picklist(rejectionKinds), message: v.string() }),
])

const dispositionSchema: v.GenericSchema<unknown, ActionDisposition> = v.variant('status', [
  strictSchema({ status: v.literal('dispatched') }),
  strictSchema({ status: v.literal('failed'), reason: v.string(), retryAfterMs: v.exactOptional(v.number()) }),
  strictSchema({ status: v.literal('gated'), reason: v.string(), cooldownMs: v.exactOptional(v.number()) }),
])

/** A record without the flag counts as durable. */
const inRing = { seq: positiveSchema, chainPending: v.optional(v.boolean(), false) }

/** The schema of each chain. */
export const chainRecordSchemas: {
  readonly [Name in ChainName]: v.GenericSchema<unknown, ChainRecords[Name]>
} = {
  action: strictSchema({
    epoch: epochIdSchema,
    id: positiveSchema,
    kind: v.picklist(actionKinds),
    emittedAtMs: naturalSchema,
    disposition: dispositionSchema,
  }),
  failure: strictSchema({ ...inRing, source: v.string(), reason: v.string(), recordedAtMs: naturalSchema }),
  audit: strictSchema({
    ...inRing,
    committedAtMs: naturalSchema,
    event: adminEventSchema,
    operatorIds: v.array(operatorIdSchema),
    outcome: outcomeSchema,
  }),
  log: strictSchema({
    ...inRing,
    atMs: naturalSchema,
    level: logLevelSchema,
    daemonId: v.exactOptional(daemonIdSchema),
    nodeId: nodeIdSchema,
    message: v.string(),
  }),
}
