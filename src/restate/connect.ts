import * as v from 'valibot'
import { systemClock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import { durationSchema, optionsSchema } from '../base/options.js'
import { RestateAdmin, type RestateFault } from './admin.js'
import { Attach, RestateAttach } from './attach.js'
import type { Connection } from './connection.js'
import { RestateIngress } from './ingress.js'
import { RestateProcesses } from './processes.js'
import { Questions } from './questions.js'
import { operationTarget, RestateSession } from './session.js'
import { addressSchema } from './wire.js'

/** How the engine is reached. */
export interface ConnectRestateOptions {
  /** Where it takes calls, such as `http://127.0.0.1:8080`. */
  readonly ingress: string
  /** Where it is administered, such as `http://127.0.0.1:9070`; without it nobody hears that something is paused. */
  readonly admin?: string
  /** Milliseconds after which a silent wait asks anew; default 280,000, because after 300 seconds the connection dies. */
  readonly attachCeilingMs?: number
  /** Milliseconds for which waits try again to reach an engine that is away; default 30,000. */
  readonly outageMs?: number
  /** Milliseconds for which a wait for a run that the engine does not know asks again; default 2000. */
  readonly startGraceMs?: number
  /** Milliseconds between two looks of a wait for whether its run is paused; default 5000. */
  readonly faultCheckMs?: number
}

const connectSchema = optionsSchema<ConnectRestateOptions>({
  ingress: addressSchema,
  admin: v.optional(addressSchema),
  attachCeilingMs: v.optional(durationSchema),
  outageMs: v.optional(durationSchema),
  startGraceMs: v.optional(durationSchema),
  faultCheckMs: v.optional(durationSchema),
})

/** A connection to a Restate server. */
export interface RestateConnection extends AsyncDisposable {
  /** The operations of a session, by its name. */
  session(id: string): RestateSession
  /** The processes of an owner, by its name. */
  processes(owner: string): RestateProcesses
  /** The wait for processes, which a work driver can be given. */
  readonly attach: RestateAttach
  /** Every process and operation that is paused; nothing where `admin` is not told. */
  faults(): Promise<readonly RestateFault[]>
  /**
   * Gives up every call, wait and feed of the connection, and takes no new one: they reject with `restate.connection_closed`.
   * What runs goes on.
   */
  close(): void
}

/**
 * Connects to a Restate server whose workers serve processes and operations.
 *
 *     const restate = connectRestate({ ingress: 'http://127.0.0.1:8080', admin: 'http://127.0.0.1:9070' })
 *     const handle = await restate.processes('s-1').start(report, { topic: 'cranes' })
 *     const text = await handle.result({ timeoutMs: 60_000 })
 *
 * Raises `invalid_input` naming the field.
 */
export function connectRestate(options: ConnectRestateOptions): RestateConnection {
  const taken = decode(connectSchema, options, 'options of connectRestate')
  const { attachCeilingMs = 280_000, outageMs = 30_000, startGraceMs = 2000, faultCheckMs = 5000 } = taken
  const clock = systemClock
  const ingress = new RestateIngress({ url: taken.ingress })
  const admin = taken.admin === undefined ? undefined : new RestateAdmin(taken.admin)
  const attaching = {
    ingress,
    clock,
    ceilingMs: attachCeilingMs,
    outageMs,
    startGraceMs,
    faultCheckMs,
    ...(admin !== undefined && { admin }),
  }
  const attach = new RestateAttach(attaching)
  const operationAttach = new Attach(attaching, operationTarget)
  const connection: Connection = { ingress, attach, operationAttach, questions: new Questions(), clock, outageMs }
  return {
    attach,
    session: (id) => new RestateSession(id, connection),
    processes: (owner) => new RestateProcesses(owner, connection),
    faults: async () => (admin === undefined ? [] : admin.faults(ingress.closed)),
    close: () => ingress.close(),
    [Symbol.asyncDispose]: async () => ingress.close(),
  }
}
