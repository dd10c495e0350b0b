import * as v from 'valibot'
import type { JsonValue } from '../base/json.js'
import { optionsSchema } from '../base/options.js'
import { traceparentSchema } from '../work/trace-context.js'
import type { ProcessDefinition } from './definition.js'
import { terminalEventTypes, type ProcessEventType } from './event-type.js'
import type { ProcessRegistration } from './registration.js'
import { idSchema, nameSchema, type ProcessId } from './scalars.js'
import { originatorSchema, scopeSchema, type Originator, type Provenance, type SessionScope } from './scope.js'
import type { TerminalProcessStatus } from './vocabulary.js'

/** Options of `start`. */
export interface StartProcessOptions {
  /** Makes the start idempotent: starting again under the same id finds the process. Default: a new id. */
  readonly id?: ProcessId
  /** Name displayed in lists. */
  readonly label?: string
  /** Who starts the process, for information only. Default: the host. */
  readonly originator?: Originator
  /** The session to wake when the process ends, and on the events that its definition lists in `wakes`. */
  readonly wakeTarget?: SessionScope
  /**
   * A W3C `traceparent` that the spans of its runs link to. Default: the span in which the process is started, if there
   * is a tracer.
   */
  readonly traceparent?: string
}

/** Accepts {@link StartProcessOptions}. */
export const startSchema = optionsSchema<StartProcessOptions>({
  id: v.optional(idSchema),
  label: v.optional(nameSchema),
  originator: v.optional(originatorSchema),
  wakeTarget: v.optional(scopeSchema),
  traceparent: v.optional(traceparentSchema),
})

/** The four terminal types, declared so that each wakes the session that the process was started for. */
const wakingEnds: readonly ProcessEventType[] = Object.entries(terminalEventTypes).map(([state, name]) => {
  const output = { type: 'pointer', pointer: '/await_output' } as const
  const terminal = { state: state as TerminalProcessStatus, awaitOutput: output }
  return { name, payloadSchema: {}, semantics: { terminal, wake: { input: output } } }
})

/** The registration of a process that is started by its definition. */
export function registrationOf(
  { kind, options, eventTypes, envRef }: ProcessDefinition,
  id: ProcessId,
  payload: JsonValue,
  { label, originator = { type: 'host' }, causedBy, ...rest }: Omit<StartProcessOptions, 'id'> & Partial<Provenance>,
): ProcessRegistration {
  const { disposition, maxAttempts } = options
  const { wakeTarget, traceparent } = rest
  return {
    id,
    input: { type: 'engine', kind, payload },
    disposition,
    eventTypes: wakeTarget === undefined ? eventTypes : [...eventTypes, ...wakingEnds],
    provenance: { originator, ...(causedBy !== undefined && { causedBy }) },
    envRef,
    ...(label !== undefined && { identity: { kind, label } }),
    ...(wakeTarget !== undefined && { wakeTarget }),
    ...(maxAttempts !== undefined && { maxAttempts }),
    ...(traceparent !== undefined && { traceparent }),
  }
}
