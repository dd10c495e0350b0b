import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import type { JsonObject, JsonValue } from '../base/json.js'
import { storedReader } from '../state/reader.js'
import { wireCodec } from '../state/wire.js'
import { ownerSchema, type LeaseOwner } from './lease.js'
import { jsonSchema, naturalSchema, textSchema } from './scalars.js'
import type { TerminalProcessStatus } from './vocabulary.js'

/** The classes of failures. */
export const processFailureClasses = [
  'invalid_request',
  'unavailable',
  'permission_denied',
  'timeout',
  'execution',
  'external',
  'resource_limit',
  'internal',
] as const
export type ProcessFailureClass = (typeof processFailureClasses)[number]

/** The ways in which a process can be abandoned. */
export const abandonWriters = ['owner_drain', 'sweep', 'reconciled_request', 'engine_gave_up'] as const
export type AbandonWriter = (typeof abandonWriters)[number]

/** Why a process is considered lost for good. */
export interface AbandonEvidence {
  readonly writer: AbandonWriter
  /** The owner that was found dead or whose lease lapsed. Absent if the process had no owner here. */
  readonly owner?: LeaseOwner
  readonly epochMs: number
}

/** How a process ended. `control` is data of tools that stateward does not interpret. */
export type AwaitOutput =
  | { readonly type: 'success'; readonly value: JsonValue; readonly control?: JsonValue }
  | {
      readonly type: 'failure'
      readonly class: ProcessFailureClass
      readonly code: string
      readonly message: string
      readonly raw?: JsonValue
      readonly control?: JsonValue
    }
  | {
      readonly type: 'cancelled'
      readonly message: string
      readonly raw?: JsonValue
      readonly control?: JsonValue
    }
  | { readonly type: 'abandoned'; readonly evidence: AbandonEvidence; readonly control?: JsonValue }

/** The answer for a process that was pruned. It is never stored. */
export interface NoLongerRetained {
  readonly type: 'no_longer_retained'
  readonly terminalLabel: TerminalProcessStatus
  readonly prunedAtMs: number
}

const optionalJson = v.exactOptional(jsonSchema)

const evidenceSchema: v.GenericSchema<unknown, AbandonEvidence> = strictSchema({
  writer: v.picklist(abandonWriters),
  owner: v.exactOptional(ownerSchema),
  epochMs: naturalSchema,
})

/** The shape of an {@link AwaitOutput}. */
export const outputSchema: v.GenericSchema<unknown, AwaitOutput> = v.variant('type', [
  strictSchema({ type: v.literal('success'), value: jsonSchema, control: optionalJson }),
  strictSchema({
    type: v.literal('failure'),
    class: v.picklist(processFailureClasses),
    code: textSchema,
    message: textSchema,
    raw: optionalJson,
    control: optionalJson,
  }),
  strictSchema({ type: v.literal('cancelled'), message: textSchema, raw: optionalJson, control: optionalJson }),
  strictSchema({ type: v.literal('abandoned'), evidence: evidenceSchema, control: optionalJson }),
])

const wire = wireCodec(outputSchema)
const read = storedReader(outputSchema)

/** An output with wire names, as stored in payloads. */
export function encodeOutput(output: AwaitOutput): JsonObject {
  return wire.encode(output) as JsonObject
}

/** Reads an output from a payload. `undefined` if the value is not one. */
export function readOutput(value: JsonValue): AwaitOutput | undefined {
  try {
    return read(value, 'await output')
  } catch {
    return undefined
  }
}

const statusOfType = {
  success: 'completed',
  failure: 'failed',
  cancelled: 'cancelled',
  abandoned: 'abandoned',
} as const satisfies Record<AwaitOutput['type'], TerminalProcessStatus>

/** The terminal status that goes with an output. */
export function statusOfOutput({ type }: AwaitOutput): TerminalProcessStatus {
  return statusOfType[type]
}

/** Wraps a value that is not an output as the output of a process with this terminal status. */
export function wrapOutput(status: TerminalProcessStatus, value: JsonValue): AwaitOutput {
  switch (status) {
    case 'completed':
      return { type: 'success', value }
    case 'failed':
      return { type: 'failure', class: 'execution', code: 'process_failed', message: 'the process failed', raw: value }
    case 'cancelled':
      return { type: 'cancelled', message: 'the process was cancelled', raw: value }
    case 'abandoned':
      return { type: 'abandoned', evidence: { writer: 'owner_drain', epochMs: 0 } }
  }
}
