import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { idSchema, positiveSchema } from './scalars.js'

/** A session, or one agent frame of it. An empty frame id means no frame. */
export interface SessionScope {
  readonly sessionId: string
  readonly agentFrameId?: string
}

/** Who started a process, for information only. */
export type Originator = { readonly type: 'host' } | { readonly type: 'session'; readonly scope: SessionScope }

/** What caused something. */
export type CausalRef =
  | { readonly type: 'turn' | 'effect' | 'tool_call' | 'trigger_occurrence' | 'session_node'; readonly id: string }
  | { readonly type: 'process'; readonly processId: string }
  | { readonly type: 'process_event'; readonly processId: string; readonly sequence: number }

/** Where a process comes from, for information only: visibility, wakes and cleanup do not depend on it. */
export interface Provenance {
  readonly originator: Originator
  readonly causedBy?: CausalRef
}

/** Separates session and frame in a scope id. */
const frameMark = '/frame:'

/**
 * The shape of a {@link SessionScope}. A session id may not look like a frame of another session, or the two would
 * share handles.
 */
export const scopeSchema: v.GenericSchema<unknown, SessionScope> = strictSchema({
  sessionId: v.pipe(
    idSchema,
    v.check((id) => !id.includes(frameMark), `holds "${frameMark}", which is how a frame is named`),
  ),
  agentFrameId: v.exactOptional(v.union([v.literal(''), idSchema])),
})

/** The shape of an {@link Originator}. */
export const originatorSchema: v.GenericSchema<unknown, Originator> = v.variant('type', [
  strictSchema({ type: v.literal('host') }),
  strictSchema({ type: v.literal('session'), scope: scopeSchema }),
])

const causalRefSchema: v.GenericSchema<unknown, CausalRef> = v.variant('type', [
  strictSchema({
    type: v.picklist(['turn', 'effect', 'tool_call', 'trigger_occurrence', 'session_node']),
    id: idSchema,
  }),
  strictSchema({ type: v.literal('process'), processId: idSchema }),
  strictSchema({ type: v.literal('process_event'), processId: idSchema, sequence: positiveSchema }),
])

/** The shape of a {@link Provenance}. */
export const provenanceSchema: v.GenericSchema<unknown, Provenance> = strictSchema({
  originator: originatorSchema,
  causedBy: v.exactOptional(causalRefSchema),
})

/** The id of a scope: `session:<session>`, followed by `/frame:<frame>` for a frame. */
export function scopeIdOf({ sessionId, agentFrameId = '' }: SessionScope): string {
  return agentFrameId === '' ? `session:${sessionId}` : `session:${sessionId}${frameMark}${agentFrameId}`
}

/** The id of an originator: `host`, or the scope id of the session. */
export function originatorIdOf(originator: Originator): string {
  return originator.type === 'host' ? 'host' : scopeIdOf(originator.scope)
}
