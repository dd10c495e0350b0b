import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import type { JsonValue } from '../../base/json.js'
import {
  durationSchema,
  nameSchema as filledSchema,
  recordSchema,
  strictSchema,
  textSchema,
} from '../../base/options.js'
import { storedReader } from '../../state/reader.js'
import { wireCodec } from '../../state/wire.js'
import type { ProcessEventType } from '../event-type.js'
import { digestOf } from '../keys.js'
import type { ProcessRecord } from '../record.js'
import type { ProcessRegistration } from '../registration.js'
import { idSchema, nameSchema, positiveSchema, type ProcessId } from '../scalars.js'
import type { Provenance, SessionScope } from '../scope.js'

/** What becomes of a process of the operating system when its owner is gone. */
export type SystemRecovery =
  /** It goes on, and whoever comes next on this host takes it over. */
  | 'adopt'
  /** It is ended. */
  | 'reap'

/** Milliseconds between asking a program to end and killing it, unless it says otherwise. */
export const defaultSystemGraceMs = 2000

/** A program that is run as a process. */
export interface SystemCommand {
  /** Looked up in the `PATH`, or a path when it holds a slash. */
  readonly command: string
  readonly args?: readonly string[]
  /** Default the directory of the worker. */
  readonly cwd?: string
  /** Variables beside those of the worker. They are stored with the process: nothing secret belongs here. */
  readonly env?: Readonly<Record<string, string>>
  readonly recover: SystemRecovery
  /**
   * Milliseconds for which its owner may be silent, being frozen as a whole for instance, before it is asked to end; only with
   * `recover: 'reap'`. By default as long as the owner is there.
   */
  readonly ownerSilenceMs?: number
  /** Milliseconds after which it is asked to end. */
  readonly timeoutMs?: number
  /** Milliseconds between asking it to end and killing it; default 2,000, less than a worker waits for its runs. */
  readonly graceMs?: number
  /** Bytes of each stream of output that are kept; default 4 MiB. */
  readonly outputLimitBytes?: number
}

/** A process of the operating system that somebody wants to have. */
export interface SystemProcessOptions extends SystemCommand {
  readonly id: ProcessId
  /** What people see; default the command. */
  readonly label?: string
  readonly provenance?: Provenance
  readonly wakeTarget?: SessionScope
}

/** Where a process of the operating system is about to be started, and what its processes are known by. */
export interface Spawning {
  readonly mark: string
  readonly hostId: string
  readonly bootId: string
}

/** Which process its supervisor is; absent parts are those that the system does not tell. */
export interface Spawned {
  readonly pid: number
  readonly startTime?: string
  readonly bootId?: string
}

/** The kind of processes of the operating system. */
export const systemKind = 'system'

const commandSchema: v.GenericSchema<unknown, SystemCommand> = strictSchema({
  command: filledSchema,
  args: v.exactOptional(v.array(textSchema())),
  cwd: v.exactOptional(filledSchema),
  env: v.exactOptional(recordSchema(textSchema())),
  recover: v.picklist(['adopt', 'reap']),
  ownerSilenceMs: v.exactOptional(v.pipe(durationSchema, v.minValue(1, 'less than a millisecond'))),
  timeoutMs: v.exactOptional(durationSchema),
  graceMs: v.exactOptional(durationSchema),
  outputLimitBytes: v.exactOptional(positiveSchema),
})

const spawningType = 'system.spawning'
const spawnedType = 'system.spawned'

/** The events of a process of the operating system, beside those that every process has. */
const systemEventTypes: readonly ProcessEventType[] = [spawningType, spawnedType].map((name) => ({
  name,
  payloadSchema: {},
  semantics: {},
}))

/** The content address of what runs processes of this kind. */
export const systemEnvironment = `process-env:sha256:${digestOf({
  kind: systemKind,
  version: 1,
  eventTypes: systemEventTypes as unknown as JsonValue,
})}`

/** The first event of its log: nothing is started before it is durable. */
export const spawning = eventOf<Spawning>(spawningType, {
  mark: idSchema,
  hostId: idSchema,
  bootId: idSchema,
})

/** The second one: the command runs only when this is durable. */
export const spawned = eventOf<Spawned>(spawnedType, {
  pid: positiveSchema,
  startTime: v.exactOptional(idSchema),
  bootId: v.exactOptional(idSchema),
})

/**
 * The registration of a program that runs as a process: bound to the host that starts it, started once.
 *
 *     await store.registerProcess(systemProcess({ id: 'build-7', command: 'make', args: ['all'], recover: 'adopt' }))
 *
 * Raises `invalid_input` naming the field.
 */
export function systemProcess(options: SystemProcessOptions): ProcessRegistration {
  const { id, label, provenance = { originator: { type: 'host' } }, wakeTarget, ...command } = options
  const payload = decode(commandSchema, command, 'system process') as unknown as JsonValue
  const name = label ?? command.command
  return {
    id,
    input: { type: 'engine', kind: systemKind, payload },
    identity: { kind: systemKind, ...(v.is(nameSchema, name) && { label: name }) },
    disposition: 'owner_bound',
    eventTypes: systemEventTypes,
    envRef: systemEnvironment,
    provenance,
    ...(wakeTarget !== undefined && { wakeTarget }),
  }
}

/** Whether a process is one of the operating system, of this version. */
export function isSystemProcess({ input, envRef }: Pick<ProcessRecord, 'input' | 'envRef'>): boolean {
  return input.type === 'engine' && input.kind === systemKind && envRef === systemEnvironment
}

/** What the process runs. Raises `invalid_input` for one that was registered otherwise. */
export function commandOf({ input }: Pick<ProcessRecord, 'input'>): SystemCommand {
  return decode(commandSchema, input.type === 'engine' ? input.payload : undefined, 'system process')
}

function eventOf<Payload extends object>(
  eventType: string,
  fields: { readonly [Name in keyof Payload]-?: v.GenericSchema },
) {
  const schema = strictSchema(fields) as unknown as v.GenericSchema<unknown, Payload>
  const wire = wireCodec(schema)
  const read = storedReader(schema)
  return {
    eventType,
    /** What is appended; it stands in a log once. */
    request: (payload: Payload) => ({
      eventType,
      payload: wire.encode(payload),
      replay: { key: eventType },
    }),
    read: (payload: JsonValue): Payload => read(payload, eventType),
  }
}
