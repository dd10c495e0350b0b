import * as v from 'valibot'
import { decode, readable } from '../base/decode.js'
import { isUuid, type IdSource } from '../base/ids.js'
import type { JsonValue } from '../base/json.js'
import { checkFields, durationSchema, nameSchema, optionsSchema, signalSchema, textOf } from '../base/options.js'
import { encodeValue } from '../work/values.js'
import {
  expectsPeer,
  type OperationId,
  type OperationKind,
  type OperationSource,
  type OperationSpec,
  type SessionId,
} from '../../machines/operation-vocabulary.js'
import { OperationHandle } from './operation-handle.js'

/** The kind of an operation if the request names none. */
export const defaultKind: OperationKind = 'background_tool_op'

/** Describes an operation to start. A string stands for its display name. */
export interface RunRequest {
  /** Default `background_tool_op`. */
  readonly kind?: OperationKind
  readonly displayName: string
  /** Default: a new id. */
  readonly id?: OperationId
  /** Free text such as `shell_job`. Default: the kind. */
  readonly sourceLabel?: string
  readonly operationSource?: OperationSource
}

const requestFields: ReadonlySet<string> = new Set<keyof RunRequest>([
  'kind',
  'displayName',
  'id',
  'sourceLabel',
  'operationSource',
])

/** Options of `session.run`. */
export interface RunOptions<Input = unknown> {
  /** Milliseconds of work after which the operation fails and its signal aborts: from 0 to 25 years. */
  readonly deadlineMs?: number
  /** Cancels the operation when it aborts. */
  readonly signal?: AbortSignal
  /** The parent operation. When the parent ends, in whatever way, this operation ends too. */
  readonly parent?: OperationHandle | OperationId
  /** Lets the operation continue when its parent ends. */
  readonly outlivesParent?: boolean
  /**
   * The input of the work: a JSON value, bytes included. It is kept with the operation and passed to the work, also
   * when a lost operation is run again (`rerunLost`).
   */
  readonly input?: Input
  /** Operations with the same key share a limit: one at a time, unless the session sets another. */
  readonly key?: string
}

const runOptionsSchema = optionsSchema<RunOptions>({
  deadlineMs: v.optional(durationSchema),
  signal: v.optional(signalSchema),
  parent: v.optional(
    v.custom<OperationHandle | OperationId>(
      (parent) => parent instanceof OperationHandle || (typeof parent === 'string' && isUuid(parent)),
      ({ input }) => `neither the handle nor the id of an operation: ${textOf(input)}`,
    ),
  ),
  outlivesParent: v.optional(v.boolean()),
  input: v.optional(v.unknown()),
  key: v.optional(nameSchema),
})

/** Default options, which need no decoding. */
export const noOptions: RunOptions<never> = {}

/** A decoded request. */
export interface DecodedRun {
  readonly spec: OperationSpec
  readonly deadlineMs: number | undefined
  readonly signal: AbortSignal | undefined
  readonly key: string | undefined
}

/** Decodes the arguments of `run`. Raises `invalid_input` naming the field. */
export function decodeRun(
  owner: SessionId,
  ids: IdSource,
  asked: RunRequest | string,
  options: RunOptions,
): DecodedRun {
  const request = typeof asked === 'string' ? { displayName: asked } : asked
  checkFields('run request', request, requestFields)
  const spec = readable('run request', () => specOf(owner, ids, request))
  if (options === noOptions) return { spec, deadlineMs: undefined, signal: undefined, key: undefined }
  const { deadlineMs, signal, parent, outlivesParent, input, key } = decode(runOptionsSchema, options, 'run options')
  const parentId = parent instanceof OperationHandle ? parent.id : parent
  const encoded = encodeValue(input, 'run options', 'input')
  return { spec: extended(spec, parentId, outlivesParent, encoded), deadlineMs, signal, key }
}

function specOf(owner: SessionId, ids: IdSource, request: RunRequest): OperationSpec {
  const { id, kind = defaultKind, displayName, sourceLabel = kind, operationSource } = request
  return {
    id: id === undefined ? (ids.uuid() as OperationId) : id,
    kind,
    ownerSessionId: owner,
    displayName,
    sourceLabel,
    ...(operationSource !== undefined && { operationSource }),
    childSessionId: null,
    expectPeerChannel: expectsPeer(kind),
  }
}

function extended(
  spec: OperationSpec,
  parentId: OperationId | undefined,
  outlivesParent: boolean | undefined,
  input: JsonValue | undefined,
): OperationSpec {
  if (parentId === undefined && outlivesParent === undefined && input === undefined) return spec
  return {
    ...spec,
    ...(parentId !== undefined && { parentId }),
    ...(outlivesParent === true && { outlivesParent }),
    ...(input !== undefined && { input }),
  }
}
