import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import type { JsonValue } from '../base/json.js'
import { ProcessError } from './errors.js'
import { outputSchema, readOutput, statusOfOutput, wrapOutput, type AwaitOutput } from './output.js'
import { compilePayloadSchema, payloadSchemaSchema, type PayloadCheck, type PayloadSchema } from './payload-schema.js'
import { jsonSchema, keySchema, nameSchema, type ProcessId } from './scalars.js'
import { scopeSchema, type SessionScope } from './scope.js'
import { compileSelector, isTruthy, NothingSelected, selectorSchema, textOfValue, type Selector } from './selector.js'
import { terminalProcessStatuses, type TerminalProcessStatus } from './vocabulary.js'

/** How an event ends its process. */
export interface TerminalSpec {
  readonly state: TerminalProcessStatus
  /** Selects the output. Only a completion may omit it: then the output is the payload. */
  readonly awaitOutput?: Selector
}

/** How an event wakes a session. */
export interface WakeSpec {
  /** Wakes only if the selected value is truthy. Default: always. */
  readonly when?: Selector
  /** Selects what the session receives. */
  readonly input: Selector
  /** What makes two wakes the same. Default `event_identity`: process and sequence. */
  readonly dedupeKey?:
    | { readonly type: 'event_identity' }
    | { readonly type: 'selector'; readonly selector: Selector }
    | { readonly type: 'const'; readonly key: string }
}

/** What an event does in addition to being recorded. */
export interface EventSemantics {
  readonly terminal?: TerminalSpec
  readonly wake?: WakeSpec
}

/** A type of event that a process may write. */
export interface ProcessEventType {
  readonly name: string
  readonly payloadSchema: PayloadSchema
  readonly semantics: EventSemantics
}

/** The effects of an event, computed when it was appended and stored with it. */
export interface MaterializedSemantics {
  readonly terminal?: { readonly state: TerminalProcessStatus; readonly awaitOutput: AwaitOutput }
  /** `target` is set if the append named its own. */
  readonly wake?: { readonly input: JsonValue; readonly dedupeKey: string; readonly target?: SessionScope }
}

const terminalSpecSchema: v.GenericSchema<unknown, TerminalSpec> = strictSchema({
  state: v.picklist(terminalProcessStatuses),
  awaitOutput: v.exactOptional(selectorSchema),
})

const wakeSpecSchema: v.GenericSchema<unknown, WakeSpec> = strictSchema({
  when: v.exactOptional(selectorSchema),
  input: selectorSchema,
  dedupeKey: v.exactOptional(
    v.variant('type', [
      strictSchema({ type: v.literal('event_identity') }),
      strictSchema({ type: v.literal('selector'), selector: selectorSchema }),
      strictSchema({ type: v.literal('const'), key: keySchema }),
    ]),
  ),
})

/** The shape of a {@link ProcessEventType}. */
export const eventTypeSchema: v.GenericSchema<unknown, ProcessEventType> = strictSchema({
  name: nameSchema,
  payloadSchema: payloadSchemaSchema,
  semantics: strictSchema({
    terminal: v.exactOptional(terminalSpecSchema),
    wake: v.exactOptional(wakeSpecSchema),
  }),
})

/** The built-in end types, by the status they lead to. */
export const terminalEventTypes = {
  completed: 'process.completed',
  failed: 'process.failed',
  cancelled: 'process.cancelled',
  abandoned: 'process.abandoned',
} as const satisfies Record<TerminalProcessStatus, string>

/** Type of the request to end a process. What follows is decided by its run. */
export const cancelRequestedType = 'process.cancel_requested'

/** Types that every process has. A producer may override them. */
export const builtInEventTypes: readonly ProcessEventType[] = [
  { name: cancelRequestedType, payloadSchema: {}, semantics: {} },
  ...Object.entries(terminalEventTypes).map(
    ([state, name]): ProcessEventType => ({
      name,
      payloadSchema: {},
      semantics: {
        terminal: { state: state as TerminalProcessStatus, awaitOutput: { type: 'pointer', pointer: '/await_output' } },
      },
    }),
  ),
]

/** Types that only the registry writes: no producer may declare them and no caller may append them (P-22). */
export const lifecycleEventTypes = [
  'process.first_started',
  'process.waiting',
  'process.resumed',
  'process.external_ref_set',
  'process.abandon_requested',
  'process.step',
  'process.adopted',
] as const
export type LifecycleEventType = (typeof lifecycleEventTypes)[number]

const lifecycle: ReadonlySet<string> = new Set(lifecycleEventTypes)

/** True for a type that only the registry writes. */
export function isLifecycleEventType(name: string): name is LifecycleEventType {
  return lifecycle.has(name)
}

const signalPattern = /^signal\.[A-Za-z0-9_-]+$/

/** True for a signal type: `signal.` and a name of letters, digits, `_` and `-`. */
export function isSignalType(name: string): boolean {
  return signalPattern.test(name)
}

/** True for types that are appended once and need a key: ends and requests to cancel. */
export function needsKey({ name, semantics }: ProcessEventType): boolean {
  return semantics.terminal !== undefined || name === cancelRequestedType
}

/** A declared type with compiled schema and selectors. */
export interface CompiledEventType {
  readonly declared: ProcessEventType
  readonly check: PayloadCheck
  /**
   * The effects of an event. Raises `process.event_payload_invalid` if a selector finds nothing or a value that
   * contradicts the type.
   */
  materialize(event: EventAt): MaterializedSemantics
}

/** An event to be appended, with the sequence it will get. */
export interface EventAt {
  readonly processId: ProcessId
  readonly sequence: number
  readonly payload: JsonValue
  /** Where its wake goes, if not to the wake target of the process. */
  readonly wakeTarget: SessionScope | undefined
}

/** The types of a process by name, including built-in ones. Compiled once per list. */
export function compiledTypes(declared: readonly ProcessEventType[]): ReadonlyMap<string, CompiledEventType> {
  let types = compiled.get(declared)
  if (types === undefined) {
    types = new Map([...builtIn, ...declared.map((type) => [type.name, compileType(type)] as const)])
    compiled.set(declared, types)
  }
  return types
}

const compiled = new WeakMap<readonly ProcessEventType[], ReadonlyMap<string, CompiledEventType>>()

function compileType(declared: ProcessEventType): CompiledEventType {
  const { name: eventType, payloadSchema, semantics } = declared
  const terminal = semantics.terminal && compileTerminal(semantics.terminal)
  const wake = semantics.wake && compileWake(semantics.wake)
  return {
    declared,
    check: compilePayloadSchema(payloadSchema),
    materialize: (event) => {
      try {
        const ends = terminal?.(event)
        const wakes = wake?.(event)
        return { ...(ends !== undefined && { terminal: ends }), ...(wakes !== undefined && { wake: wakes }) }
      } catch (cause) {
        if (!(cause instanceof Unfit || cause instanceof NothingSelected)) throw cause
        const [path, reason] =
          cause instanceof Unfit ? [cause.path, cause.message] : [cause.pointer, 'a selector finds nothing there']
        throw new ProcessError('process.event_payload_invalid', { processId: event.processId, eventType, path, reason })
      }
    },
  }
}

/** A selected value that does not fit. The caller adds which event it is about. */
class Unfit extends Error {
  readonly path: string

  constructor(path: string, reason: string) {
    super(reason)
    this.path = path
  }
}

function compileTerminal({ state, awaitOutput }: TerminalSpec) {
  const select = awaitOutput && compileSelector(awaitOutput)
  return ({ payload }: EventAt): NonNullable<MaterializedSemantics['terminal']> => {
    if (select === undefined) return { state, awaitOutput: wrapOutput(state, payload) }
    const value = select(payload)
    const output = readOutput(value)
    if (output === undefined) return { state, awaitOutput: wrapOutput(state, value) }
    const said = statusOfOutput(output)
    if (said !== state) throw new Unfit('$', `the output is ${said}, the type ends as ${state}`)
    return { state, awaitOutput: output }
  }
}

function compileWake({ when, input, dedupeKey = { type: 'event_identity' } }: WakeSpec) {
  const doesWake = when && compileSelector(when)
  const selectInput = compileSelector(input)
  const keyOf = compileDedupeKey(dedupeKey)
  return (event: EventAt): MaterializedSemantics['wake'] => {
    const { payload, wakeTarget } = event
    if (doesWake !== undefined && !isTruthy(doesWake(payload))) return undefined
    const wake = { input: selectInput(payload), dedupeKey: keyOf(event) }
    return wakeTarget === undefined ? wake : { ...wake, target: wakeTarget }
  }
}

function compileDedupeKey(dedupeKey: NonNullable<WakeSpec['dedupeKey']>): (event: EventAt) => string {
  switch (dedupeKey.type) {
    case 'event_identity':
      return ({ processId, sequence }) => `${processId}:${sequence}`
    case 'const':
      return () => dedupeKey.key
    case 'selector': {
      const select = compileSelector(dedupeKey.selector)
      return ({ payload }) => textOfValue(select(payload))
    }
  }
}

const builtIn: readonly (readonly [string, CompiledEventType])[] = builtInEventTypes.map((type) => [
  type.name,
  compileType(type),
])

/** The shape of {@link MaterializedSemantics}. */
export const materializedSchema: v.GenericSchema<unknown, MaterializedSemantics> = strictSchema({
  terminal: v.exactOptional(strictSchema({ state: v.picklist(terminalProcessStatuses), awaitOutput: outputSchema })),
  wake: v.exactOptional(
    strictSchema({ input: jsonSchema, dedupeKey: v.string(), target: v.exactOptional(scopeSchema) }),
  ),
})
