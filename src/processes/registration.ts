import { hash } from 'node:crypto'
import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import { strictSchema } from '../base/options.js'
import { canonicalJson, copyJson } from '../base/json-copy.js'
import type { JsonValue } from '../base/json.js'
import { snakeCase, wireCodec } from '../state/wire.js'
import { traceparentSchema } from '../work/trace-context.js'
import { ProcessError } from './errors.js'
import { builtInEventTypes, eventTypeSchema, isLifecycleEventType, type ProcessEventType } from './event-type.js'
import { isSharedEventTypes, sharedEventTypes, textOfEventTypes } from './event-type-lists.js'
import {
  identityOf,
  identitySchema,
  inputSchema,
  needsEnvironment,
  type ProcessIdentity,
  type ProcessInput,
} from './input.js'
import { digestOf } from './keys.js'
import { checkSize, idSchema, largestValueBytes, longestId, positiveSchema, type ProcessId } from './scalars.js'
import { provenanceSchema, scopeSchema, type Provenance, type SessionScope } from './scope.js'
import { recoveryDispositions, type RecoveryDisposition } from './vocabulary.js'

/** Content address of the environment captured for a process. */
export type ExecutionEnvRef = string

/** The description of a process to register. */
export interface ProcessRegistration {
  readonly id: ProcessId
  readonly input: ProcessInput
  /** Required, in code as in stored data: there is no safe default. */
  readonly disposition: RecoveryDisposition
  /** Default: derived from the input. */
  readonly identity?: ProcessIdentity
  /** The producer's own types, and overrides of built-in ones. */
  readonly eventTypes: readonly ProcessEventType[]
  readonly provenance: Provenance
  /** Required for tool calls and engines, not allowed for other inputs. */
  readonly envRef?: ExecutionEnvRef
  /** The session that events wake, unless an event names another. */
  readonly wakeTarget?: SessionScope
  /** How often a rerunnable process may be started. Unlimited by default. */
  readonly maxAttempts?: number
  /**
   * A W3C `traceparent` that the spans of its runs link to. It is not compared when a registration is repeated: the
   * first one stays.
   */
  readonly traceparent?: string
}

/**
 * The part of a registration that never changes. The wake target is stored separately, because deleting its session
 * removes it.
 */
export interface Registered extends Omit<ProcessRegistration, 'identity' | 'wakeTarget'> {
  readonly identity: ProcessIdentity
}

/** A checked registration. */
export interface TakenRegistration {
  readonly registered: Registered
  readonly wakeTarget: SessionScope | undefined
  readonly registrationHash: string
}

const envRefSchema = v.custom<string>(
  (input) => typeof input === 'string' && /^process-env:sha256:[0-9a-f]{64}$/.test(input),
  'not process-env:sha256: and 64 hexadecimal digits',
)

/** Fields that usually differ between processes of one definition. */
const individual = { id: idSchema, input: inputSchema, traceparent: v.exactOptional(traceparentSchema) }

const common = {
  disposition: v.picklist(recoveryDispositions),
  eventTypes: v.pipe(v.array(eventTypeSchema), v.maxLength(longestId)),
  provenance: provenanceSchema,
  envRef: v.exactOptional(envRefSchema),
  maxAttempts: v.exactOptional(positiveSchema),
}

const registrationEntries = {
  ...individual,
  ...common,
  // A shared list was checked before, and cannot have changed since.
  eventTypes: v.lazy((list) => (isSharedEventTypes(list) ? v.any() : common.eventTypes)),
  identity: v.exactOptional(identitySchema),
  wakeTarget: v.exactOptional(scopeSchema),
}

const registrationSchema: v.GenericSchema<unknown, ProcessRegistration> = strictSchema(registrationEntries)

/** The fields specific to one process. */
export type IndividualPart = Pick<Registered, 'id' | 'input' | 'traceparent'>
/** The fields shared by processes of one definition. They are written last. */
export type CommonPart = Omit<Registered, keyof IndividualPart>

/** The shape of an {@link IndividualPart}. */
export const individualSchema: v.GenericSchema<unknown, IndividualPart> = strictSchema(individual)

/** The shape of a {@link CommonPart}, whose first field is `disposition`. */
export const commonSchema: v.GenericSchema<unknown, CommonPart> = strictSchema({ ...common, identity: identitySchema })

/** The shape of a {@link Registered}. */
export const registeredSchema: v.GenericSchema<unknown, Registered> = strictSchema({
  ...individual,
  ...common,
  identity: identitySchema,
})

/** Checks and copies a registration. Raises `process.registration_invalid` naming the field. */
export function takeRegistration(input: unknown): TakenRegistration {
  try {
    const { wakeTarget, identity, ...registration } = takeFields(input)
    const { eventTypes: given } = registration
    if (!isSharedEventTypes(given)) checkSize(given as unknown as JsonValue, 'registration', 'eventTypes')
    const checked = { ...registration, identity: identity ?? identityOf(registration.input) }
    checkRegistered(checked)
    const registered = { ...checked, eventTypes: sharedEventTypes(given) }
    const text = hashedText(registered, wakeTarget)
    // A UTF-16 unit takes at most three bytes, so most inputs need no exact count.
    if (3 * text.length > largestValueBytes)
      checkSize(registered.input as unknown as JsonValue, 'registration', 'input')
    return { registered, wakeTarget, registrationHash: `v1:${hash('sha256', text)}` }
  } catch (cause) {
    if (!(cause instanceof InvalidInputError)) throw cause
    const { field, reason } = cause.data
    throw new ProcessError('process.registration_invalid', { field, reason }, { cause })
  }
}

/** Copies and checks the fields. A shared list of event types is neither copied nor checked again. */
function takeFields(input: unknown): ProcessRegistration {
  return decode(registrationSchema, copyJson(input, 'registration', isSharedEventTypes), 'registration')
}

/** Checks rules that span several fields, also for stored registrations. Raises `process.registration_invalid`. */
export function checkRegistered({ input, envRef, eventTypes, disposition, maxAttempts }: Registered): void {
  if (needsEnvironment(input) && envRef === undefined) refuse('envRef', `required for ${input.type}`)
  if (!needsEnvironment(input) && envRef !== undefined) refuse('envRef', `${input.type} has no environment`)
  if (maxAttempts !== undefined && disposition !== 'rerunnable') {
    refuse('maxAttempts', `a process that is ${disposition} is started once`)
  }
  if (isSharedEventTypes(eventTypes)) return
  const names = new Set<string>()
  for (const [index, { name, semantics }] of eventTypes.entries()) {
    if (names.has(name)) refuse(`eventTypes.${index}.name`, `declared twice: ${name}`)
    names.add(name)
    if (isLifecycleEventType(name)) refuse(`eventTypes.${index}.name`, `written by the registry alone: ${name}`)
    checkSemantics(name, semantics, `eventTypes.${index}.semantics`)
  }
}

/** Returns the registration with its event types replaced. */
export function withEventTypes(
  registration: ProcessRegistration,
  eventTypes: readonly ProcessEventType[],
): ProcessRegistration {
  return { ...registration, eventTypes }
}

/** Returns the registration with event types added. */
export function withExtraEventTypes(
  registration: ProcessRegistration,
  eventTypes: readonly ProcessEventType[],
): ProcessRegistration {
  return { ...registration, eventTypes: [...registration.eventTypes, ...eventTypes] }
}

/** Every event type of the process, including built-in ones. */
export function declaredEventTypes(eventTypes: readonly ProcessEventType[]): readonly ProcessEventType[] {
  const own = new Set(eventTypes.map(({ name }) => name))
  return [...eventTypes, ...builtInEventTypes.filter(({ name }) => !own.has(name))]
}

function checkSemantics(name: string, { terminal }: ProcessEventType['semantics'], field: string): void {
  if (terminal !== undefined && terminal.state !== 'completed' && terminal.awaitOutput === undefined) {
    refuse(`${field}.terminal.awaitOutput`, `required for an end as ${terminal.state}`)
  }
  const builtIn = builtInEventTypes.find((type) => type.name === name)
  // Ends are written under these names. If such a type ended nothing, the output would be lost.
  if (builtIn !== undefined && builtIn.semantics.terminal?.state !== terminal?.state) {
    refuse(`${field}.terminal.state`, `${name} is ${builtIn.semantics.terminal?.state ?? 'no end'}`)
  }
}

function refuse(field: string, reason: string): never {
  throw new ProcessError('process.registration_invalid', { field, reason })
}

/** Fields in the order of their names on the wire. */
const hashedFields = Object.entries(registrationEntries)
  .filter(([name]) => name !== 'traceparent')
  .map(([name, schema]) => ({
    name: name as Exclude<keyof typeof registrationEntries, 'traceparent'>,
    wireName: snakeCase(name),
    wire: wireCodec(schema as v.GenericSchema),
  }))
  .toSorted(({ wireName: one }, { wireName: other }) => (one < other ? -1 : 1))

/**
 * The canonical form of a registration, by whose hash a repeated one is recognized. The order of keys and of event
 * types does not matter. The id, the trace and unchanged built-in types are left out.
 */
function hashedText(registered: Registered, wakeTarget: SessionScope | undefined): string {
  let text = ''
  for (const { name, wireName, wire } of hashedFields) {
    let part: string
    if (name === 'id') part = '""'
    else if (name === 'eventTypes') part = textOfEventTypes(registered.eventTypes, hashedEventTypes)
    else {
      const value = name === 'wakeTarget' ? wakeTarget : registered[name]
      if (value === undefined) continue
      part = canonicalJson(wire.encode(value))
    }
    text += `${text === '' ? '' : ','}"${wireName}":${part}`
  }
  return `{${text}}`
}

const eventTypesWire = wireCodec(common.eventTypes)

/** Event types in the form that is hashed, with wire names. */
function hashedEventTypes(eventTypes: readonly ProcessEventType[]): JsonValue {
  const own = eventTypes
    .filter((type) => !builtInTexts.has(digestOf(type as unknown as JsonValue)))
    .toSorted(({ name: one }, { name: other }) => (one < other ? -1 : 1))
  return eventTypesWire.encode(own)
}

const builtInTexts: ReadonlySet<string> = new Set(
  builtInEventTypes.map((type) => digestOf(type as unknown as JsonValue)),
)
