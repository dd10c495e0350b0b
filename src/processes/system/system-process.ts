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

/** What happens to an operating system process when its owner is gone. */
export type SystemRecovery =
  /** It continues, and the next worker on this host takes it over. */
  | 'adopt'
  /** It is ended. */
  | 'reap'

/** Default milliseconds between asking a program to end and killing it. */
export const defaultSystemGraceMs = 2000

/** A program to run as a process. */
export interface SystemCommand {
  /** A name looked up in `PATH`, or a path if it contains a slash. */
  readonly command: string
  readonly args?: readonly string[]
  /** Working directory. Default: that of the worker. */
  readonly cwd?: string
  /**
   * Environment variables added to those of the worker. They are stored with the process, so do not put secrets here.
   */
  readonly env?: Readonly<Record<string, string>>
  readonly recover: SystemRecovery
  /**
   * Milliseconds that its owner may be silent, for instance because it is frozen, before the program is asked to end.
   * Only with `recover: 'reap'`. By default there is no limit while the owner exists.
   */
  readonly ownerSilenceMs?: number
  /** Milliseconds after which the program is asked to end. */
  readonly timeoutMs?: number
  /**
   * Milliseconds between asking the program to end and killing it. Default 2,000, less than a worker waits for its
   * runs.
   */
  readonly graceMs?: number
  /** How many bytes of each output stream are kept. Default 4 MiB. */
  readonly outputLimitBytes?: number
}

/** Options of {@link systemProcess}. */
export interface SystemProcessOptions extends SystemCommand {
  readonly id: ProcessId
  /** Display name. Default: the command. */
  readonly label?: string
  readonly provenance?: Provenance
  readonly wakeTarget?: SessionScope
}

/** Recorded before an operating system process is started: on which host, and the mark that its processes carry. */
export interface Spawning {
  readonly mark: string
  readonly hostId: string
  readonly bootId: string
}

/** Identifies its supervisor. Fields are absent if the system does not provide them. */
export interface Spawned {
  readonly pid: number
  readonly startTime?: string
  readonly bootId?: string
}

/** The kind of operating system processes. */
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

/** Event types of an operating system process, in addition to the built-in ones. */
const systemEventTypes: readonly ProcessEventType[] = [spawningType, spawnedType].map((name) => ({
  name,
  payloadSchema: {},
  semantics: {},
}))

/** Content address of the environment for this kind. */
export const systemEnvironment = `process-env:sha256:${digestOf({
  kind: systemKind,
  version: 1,
  eventTypes: systemEventTypes as unknown as JsonValue,
})}`

/** The first event of its log. Nothing is started before it is durable. */
export const spawning = eventOf<Spawning>(spawningType, {
  mark: idSchema,
  hostId: idSchema,
  bootId: idSchema,
})

/** The second event of its log. The command starts only once it is durable. */
export const spawned = eventOf<Spawned>(spawnedType, {
  pid: positiveSchema,
  startTime: v.exactOptional(idSchema),
  bootId: v.exactOptional(idSchema),
})

/**
 * The registration of a program as a process. It is bound to the host that starts it and is started once.
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

/** Whether a process is an operating system process of this version. */
export function isSystemProcess({ input, envRef }: Pick<ProcessRecord, 'input' | 'envRef'>): boolean {
  return input.type === 'engine' && input.kind === systemKind && envRef === systemEnvironment
}

/** The command that a process runs. Raises `invalid_input` if it was registered differently. */
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
    /** The event to append. Its key makes it unique in a log. */
    request: (payload: Payload) => ({
      eventType,
      payload: wire.encode(payload),
      replay: { key: eventType },
    }),
    read: (payload: JsonValue): Payload => read(payload, eventType),
  }
}
