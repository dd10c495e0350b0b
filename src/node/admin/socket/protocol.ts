import * as v from 'valibot'
import { strictSchema } from '../../../base/options.js'
import { documentCodec } from '../../../state/document.js'
import { positiveSchema } from '../../scalars.js'
import { rejectionKinds, type VerificationOutcome } from '../../records.js'
import { mostCommitBytes } from '../commit-document.js'

/*
 * Requests and answers are JSON objects in UTF-8, one per line. A connection may send several requests; answers come in
 * the same order.
 */

/** The maximum size of a request in bytes: a commit and its envelope. */
export const mostRequestBytes = mostCommitBytes + 1024

/** The maximum size of an answer in bytes: the snapshot of a large cluster. */
export const mostAnswerBytes = 64 * 2 ** 20

/** A request to a node: judge a commit, or return what a simulation needs. */
export type AdminRequest = { readonly type: 'submit'; readonly commit: unknown } | { readonly type: 'snapshot' }

/** Accepts a request. The commit is decoded by its own schema. */
export const requestSchema: v.GenericSchema<unknown, AdminRequest> = v.variant('type', [
  strictSchema({ type: v.literal('submit'), commit: v.unknown() }),
  strictSchema({ type: v.literal('snapshot') }),
])

/** The outcome of a commit. */
export interface AdminReceipt {
  readonly outcome: VerificationOutcome
  /** Number of the audit record, if this node has one for the attempt. */
  readonly seq?: number
}

/** Accepts an {@link AdminReceipt}. */
const receiptSchema: v.GenericSchema<AdminReceipt, AdminReceipt> = strictSchema({
  outcome: v.variant('status', [
    strictSchema({ status: v.picklist(['accepted', 'unverified']) }),
    strictSchema({ status: v.literal('rejected'), kind: v.picklist(rejectionKinds), message: v.string() }),
  ]),
  seq: v.exactOptional(positiveSchema),
}) as v.GenericSchema<AdminReceipt, AdminReceipt>

/** Encodes and decodes a receipt. */
export const receiptCodec = documentCodec(receiptSchema, 'receipt')

/** An answer of a node. */
export type AdminAnswer =
  | { readonly type: 'receipt'; readonly receipt: unknown }
  | { readonly type: 'snapshot'; readonly snapshot: unknown }
  /** The request was not understood or could not be carried out; nothing was judged. */
  | { readonly type: 'error'; readonly code: string; readonly message: string }

/** Accepts an answer. */
export const answerSchema: v.GenericSchema<unknown, AdminAnswer> = v.variant('type', [
  strictSchema({ type: v.literal('receipt'), receipt: v.unknown() }),
  strictSchema({ type: v.literal('snapshot'), snapshot: v.unknown() }),
  strictSchema({ type: v.literal('error'), code: v.string(), message: v.string() }),
])
