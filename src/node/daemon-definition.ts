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
  /** Aborts when the daemon is to end; it has its grace period for that. */
  readonly signal: AbortSignal
  /** What its node wants it to know: that it drains, that the cluster is overfull. */
  readonly controls: Pick<DaemonControls, 'next' | 'tryNext' | 'dropped'>
  /** Of a cluster: the fence of the lease that this copy runs under. What it writes elsewhere bears it. */
  readonly fence: number | undefined
  /** Says how it is; false when that was lost, because the queue of the node is full. Raises `invalid_input`. */
  reportHealth(health: DaemonHealth): boolean
  /** Says how busy it is, as a fraction. Raises `invalid_input`. */
  reportSaturation(saturation: number): boolean
  /** Writes into the log of the node; never waits, and false when the line was lost. Raises `invalid_input`. */
  readonly log: (level: NodeLogLevel, message: string) => boolean
}

/** One copy of a daemon that runs. */
export interface RunningDaemon {
  /** Resolves when it has ended by itself or because it was told to; rejects when it has crashed. */
  readonly ended: Promise<unknown>
  /** Tells it something; absent for one that reads its controls itself. */
  readonly control?: (control: DaemonControl) => void
  /** Ends it by force; absent where that cannot be done. */
  readonly kill?: () => void
}

/** How daemons of one kind are run. */
export interface DaemonRunner {
  /** Shown in the list of jobs. */
  readonly kind: string
  /** Starts a copy; what it raises is a crash. */
  start(scope: DaemonScope): RunningDaemon | Promise<RunningDaemon>
  /** The copy that an earlier process of this node has left running, if there is one. */
  adopt?(scope: DaemonScope): Promise<RunningDaemon | undefined>
}

/** How a daemon is defined. */
export interface DaemonOptions<Input = unknown> {
  /** Its id where it must be another one than its name makes. */
  readonly id?: DaemonId
  /** Milliseconds that it has to end; at most what the node grants. */
  readonly graceMs?: number
  /** What a machine or a worker starts from. */
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

/** The function of a daemon that runs in this process: it ends when its signal aborts. */
export type DaemonWork = (scope: DaemonScope) => unknown

const optionsShape = optionsSchema<DaemonOptions>({
  id: v.optional(daemonIdSchema),
  graceMs: v.optional(durationSchema),
  input: v.optional(v.any()),
})

/** The runners of what {@link defineDaemon} takes, by their kind; named here, because they import this file. */
export interface DaemonRunners {
  callback(work: DaemonWork): DaemonRunner
  machine(machine: AnyStateMachine, input: unknown): DaemonRunner
  worker(file: URL, input: JsonValue | undefined): DaemonRunner
}

/** The id that a name makes: the first 8 bytes of its SHA-256. */
export function daemonIdOf(name: string): DaemonId {
  return createHash('sha256').update(`stateward.daemon.v1\0${name}`).digest('hex').slice(0, 16) as DaemonId
}

/** Makes `defineDaemon` of the runners that there are. */
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
