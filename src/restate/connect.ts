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

/** How to reach the engine. */
export interface ConnectRestateOptions {
  /** Address for calls, for instance `http://127.0.0.1:8080`. */
  readonly ingress: string
  /** Address of the admin API, for instance `http://127.0.0.1:9070`. Without it, pauses are not noticed. */
  readonly admin?: string
  /**
   * Milliseconds after which a silent wait is made again. Default 280,000, because the connection breaks after 300
   * seconds.
   */
  readonly attachCeilingMs?: number
  /** Milliseconds for which waits retry an unreachable engine. Default 30,000. */
  readonly outageMs?: number
  /** Milliseconds for which a wait asks again for a run that the engine does not know. Default 2,000. */
  readonly startGraceMs?: number
  /** Milliseconds between two checks during a wait whether its run is paused. Default 5,000. */
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
  /** Waits for processes. Can be attached to a work driver. */
  readonly attach: RestateAttach
  /** Every process and operation that is paused. Empty if `admin` is not set. */
  faults(): Promise<readonly RestateFault[]>
  /**
   * Ends every call, wait and feed of the connection and accepts no new ones: they reject with
   * `restate.connection_closed`. Running processes and operations go on.
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
