import * as v from 'valibot'
import { strictSchema } from '../../../base/options.js'
import { documentCodec } from '../../../state/document.js'
import { positiveSchema } from '../../scalars.js'
import { rejectionKinds, type VerificationOutcome } from '../../records.js'
import { mostCommitBytes } from '../commit-document.js'

/*
 * Requests and answers are JSON objects, one per line, in UTF-8. A connection may ask more than once, one question after
 * another; answers come in that order.
 */

/** The most bytes of a request: a commit, and the words around it. */
export const mostRequestBytes = mostCommitBytes + 1024

/** The most bytes of an answer: the snapshot of a large cluster. */
export const mostAnswerBytes = 64 * 2 ** 20

/** What a node is asked: to judge a commit, or what a simulation needs to know. */
export type AdminRequest = { readonly type: 'submit'; readonly commit: unknown } | { readonly type: 'snapshot' }

/** Accepts a request. The commit is decoded by its own schema. */
export const requestSchema: v.GenericSchema<unknown, AdminRequest> = v.variant('type', [
  strictSchema({ type: v.literal('submit'), commit: v.unknown() }),
  strictSchema({ type: v.literal('snapshot') }),
])

/** What became of a commit. */
export interface AdminReceipt {
  readonly outcome: VerificationOutcome
  /** Number of the audit record, where the attempt has one on this node. */
  readonly seq?: number
}

/** Accepts a {@link AdminReceipt}. */
const receiptSchema: v.GenericSchema<AdminReceipt, AdminReceipt> = strictSchema({
  outcome: v.variant('status', [
    strictSchema({ status: v.picklist(['accepted', 'unverified']) }),
    strictSchema({ status: v.literal('rejected'), kind: v.picklist(rejectionKinds), message: v.string() }),
  ]),
  seq: v.exactOptional(positiveSchema),
}) as v.GenericSchema<AdminReceipt, AdminReceipt>

/** How a receipt is written and read. */
export const receiptCodec = documentCodec(receiptSchema, 'receipt')

/** What a node answers. */
export type AdminAnswer =
  | { readonly type: 'receipt'; readonly receipt: unknown }
  | { readonly type: 'snapshot'; readonly snapshot: unknown }
  /** The request was not understood, or could not be done; nothing was judged. */
  | { readonly type: 'error'; readonly code: string; readonly message: string }

/** Accepts an answer. */
export const answerSchema: v.GenericSchema<unknown, AdminAnswer> = v.variant('type', [
  strictSchema({ type: v.literal('receipt'), receipt: v.unknown() }),
  strictSchema({ type: v.literal('snapshot'), snapshot: v.unknown() }),
  strictSchema({ type: v.literal('error'), code: v.string(), message: v.string() }),
])
