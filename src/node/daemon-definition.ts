import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { StateMachine, type AnyStateMachine, type InputFrom } from 'xstate'
import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import { durationSchema, nameSchema, optionsSchema, portSchema, textOf } from '../base/options.js'
import type { DaemonControl } from './control-event.js'
import { daemonRefSchema, type DaemonHealth, type DaemonRef } from './daemon.js'
import type { DaemonControls } from './daemon-controls.js'
import { daemonIdSchema, type DaemonId } from './ids.js'
import type { NodeLogLevel } from './vocabulary.js'

/** What a running daemon is given. */
export interface DaemonScope {
  readonly daemon: DaemonRef
  /** Aborts when the daemon should end; it then has its grace period. */
  readonly signal: AbortSignal
  /** What its node tells it: a drain, backpressure. */
  readonly controls: Pick<DaemonControls, 'next' | 'tryNext' | 'dropped'>
  /** In a cluster, the fence of the lease that this copy runs under. Pass it along with writes to other systems. */
  readonly fence: number | undefined
  /** Reports its health; false when the report was dropped because the node's queue is full. Raises `invalid_input`. */
  reportHealth(health: DaemonHealth): boolean
  /** Reports its saturation as a fraction. False when the report was dropped. Raises `invalid_input`. */
  reportSaturation(saturation: number): boolean
  /** Writes a line to the node's log without waiting; false when it was dropped. Raises `invalid_input`. */
  readonly log: (level: NodeLogLevel, message: string) => boolean
}

/** A running copy of a daemon. */
export interface RunningDaemon {
  /** Resolves when it has ended, by itself or because it was told to; rejects when it has crashed. */
  readonly ended: Promise<unknown>
  /** Passes a control event to it; absent if it reads its controls itself. */
  readonly control?: (control: DaemonControl) => void
  /** Ends it by force; absent if that is not possible. */
  readonly kill?: () => void
}

/** Runs daemons of one kind. */
export interface DaemonRunner {
  /** Shown in the list of jobs. */
  readonly kind: string
  /** Starts a copy; an exception counts as a crash. */
  start(scope: DaemonScope): RunningDaemon | Promise<RunningDaemon>
  /** Takes over the copy that an earlier process of this node left running, if there is one. */
  adopt?(scope: DaemonScope): Promise<RunningDaemon | undefined>
}

/** Options of a daemon definition. */
export interface DaemonOptions<Input = unknown> {
  /** Its id. Default: derived from the name. */
  readonly id?: DaemonId
  /** Milliseconds that it has to end, at most what the node grants. */
  readonly graceMs?: number
  /** The input of a machine or a worker. */
  readonly input?: Input
}

/** A daemon that a node can run. */
export interface DaemonDefinition {
  readonly daemon: DaemonRef
  readonly runner: DaemonRunner
  readonly graceMs: number | undefined
}

/** Accepts a {@link DaemonDefinition}. */
export const daemonDefinitionSchema = optionsSchema<DaemonDefinition>({
  daemon: daemonRefSchema,
  runner: portSchema<DaemonRunner>(['start'], ['adopt']),
  graceMs: v.optional(durationSchema),
})

/** A daemon as a function of this process: it ends when its signal aborts. */
export type DaemonWork = (scope: DaemonScope) => unknown

const optionsShape = optionsSchema<DaemonOptions>({
  id: v.optional(daemonIdSchema),
  graceMs: v.optional(durationSchema),
  input: v.optional(v.any()),
})

/** The runners of what {@link defineDaemon} accepts, by kind. Declared here because they import this file. */
export interface DaemonRunners {
  callback(work: DaemonWork): DaemonRunner
  machine(machine: AnyStateMachine, input: unknown): DaemonRunner
  worker(file: URL, input: JsonValue | undefined): DaemonRunner
}

/** The id derived from a name: the first 8 bytes of its SHA-256. */
export function daemonIdOf(name: string): DaemonId {
  return createHash('sha256').update(`stateward.daemon.v1\0${name}`).digest('hex').slice(0, 16) as DaemonId
}

/** Creates `defineDaemon` from these runners. */
export function daemonDefiner(runners: DaemonRunners) {
  function define(name: string, work: DaemonWork, options?: DaemonOptions<never>): DaemonDefinition
  function define<Machine extends AnyStateMachine>(
    name: string,
    machine: Machine,
    options?: DaemonOptions<InputFrom<Machine>>,
  ): DaemonDefinition
  function define(name: string, worker: URL, options?: DaemonOptions<JsonValue>): DaemonDefinition
  function define(name: string, runner: DaemonRunner, options?: DaemonOptions<never>): DaemonDefinition
  function define(name: string, what: unknown, options: DaemonOptions = {}): DaemonDefinition {
    decode(nameSchema, name, 'daemon name')
    const { id = daemonIdOf(name), graceMs, input } = decode(optionsShape, options, `options of daemon ${name}`)
    return Object.freeze({ daemon: Object.freeze({ id, name }), runner: runnerOf(runners, name, what, input), graceMs })
  }
  return define
}

function runnerOf(runners: DaemonRunners, name: string, what: unknown, input: unknown): DaemonRunner {
  if (typeof what === 'function') return runners.callback(what as DaemonWork)
  if (what instanceof StateMachine) return runners.machine(what as AnyStateMachine, input)
  if (what instanceof URL) return runners.worker(what, input as JsonValue | undefined)
  if (typeof what === 'object' && what !== null && 'start' in what && 'kind' in what) return what as DaemonRunner
  const reason = `neither a function, a machine, the URL of a worker nor a runner: ${textOf(what)}`
  throw new InvalidInputError({ subject: `daemon ${name}`, field: '$', reason })
}
