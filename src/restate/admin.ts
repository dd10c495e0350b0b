import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { messageOf } from '../base/errors.js'
import { strictSchema } from '../base/options.js'
import { RestateError, type Awaited } from './errors.js'
import { placeOfRun } from './keys.js'
import { operationService, processService } from './services.js'
import { addressSchema } from './wire.js'

/** A process or an operation that is paused and does not continue by itself. */
export type RestateFault = Awaited & {
  /** Identifies the invocation to resume or kill on the engine. */
  readonly invocationId: string
  /** The error of the last attempt. */
  readonly failure: string
}

const rowsSchema = v.object({
  rows: v.array(
    v.object({
      id: v.string(),
      target_service_name: v.string(),
      target_service_key: v.string(),
      last_failure: v.optional(v.nullable(v.string())),
    }),
  ),
})

const registerSchema = strictSchema({ admin: addressSchema, uri: addressSchema })

const deploymentSchema = v.object({ id: v.string() })

const eventsSchema = v.object({ rows: v.array(v.object({ event_json: v.string() })) })

/** Queries the admin API of the engine. */
export class RestateAdmin {
  readonly #url: string

  constructor(url: string) {
    this.#url = url.replace(/\/+$/, '')
  }

  /**
   * Every process and operation that is paused because its retries are used up. Rejects with `restate.unreachable`,
   * `restate.call_failed`.
   */
  faults(signal?: AbortSignal): Promise<readonly RestateFault[]> {
    return this.#faults('', signal)
  }

  /** Why a run is paused, or `undefined` if it is not. */
  async faultOf(service: string, key: string, signal?: AbortSignal): Promise<RestateFault | undefined> {
    const condition = ` and target_service_name = '${service}' and target_service_key = '${key.replaceAll("'", "''")}'`
    const [fault] = await this.#faults(condition, signal)
    return fault
  }

  /** Registers the handlers at an address, again after they have changed. */
  async register(uri: string): Promise<void> {
    await this.#ask('deployments', { uri, force: true }, deploymentSchema)
  }

  async #faults(condition: string, signal?: AbortSignal): Promise<readonly RestateFault[]> {
    const query = `select id, target_service_name, target_service_key, last_failure from sys_invocation where target_service_name in ('${processService}', '${operationService}') and status = 'paused'${condition}`
    const { rows } = await this.#ask('query', { query }, rowsSchema, signal)
    return Promise.all(
      rows.map(async ({ id, target_service_name, target_service_key, last_failure }) => ({
        ...(target_service_name === processService
          ? { processId: target_service_key }
          : placeOfRun(target_service_key)),
        invocationId: id,
        failure: last_failure ?? (await this.#lastEvent(id, signal)) ?? 'no reason is known',
      })),
    )
  }

  /** The last event that the engine recorded of an invocation it no longer retries. */
  async #lastEvent(invocationId: string, signal?: AbortSignal): Promise<string | undefined> {
    const query = `select event_json from sys_journal_events where id = '${invocationId}' order by appended_at desc limit 1`
    const { rows } = await this.#ask('query', { query }, eventsSchema, signal)
    return rows[0]?.event_json
  }

  async #ask<Answered>(
    path: string,
    body: unknown,
    schema: v.GenericSchema<unknown, Answered>,
    signal?: AbortSignal,
  ): Promise<Answered> {
    const text = await this.#post(path, body, signal)
    try {
      return v.parse(schema, JSON.parse(text))
    } catch (cause) {
      throw new RestateError('restate.call_failed', { target: path, status: 200, body: text }, { cause })
    }
  }

  async #post(path: string, body: unknown, signal?: AbortSignal): Promise<string> {
    let answer: Response
    let text: string
    try {
      answer = await fetch(`${this.#url}/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify(body),
        ...(signal !== undefined && { signal }),
      })
      text = await answer.text()
    } catch (thrown) {
      signal?.throwIfAborted()
      throw new RestateError('restate.unreachable', { target: path, reason: messageOf(thrown) }, { cause: thrown })
    }
    if (!answer.ok) throw new RestateError('restate.call_failed', { target: path, status: answer.status, body: text })
    return text
  }
}

/**
 * Registers the workers at a Restate server. Call it again after their code has changed. Rejects with `invalid_input`
 * naming the field, `restate.unreachable` and `restate.call_failed`.
 */
export async function registerRestate(options: { readonly admin: string; readonly uri: string }): Promise<void> {
  const { admin, uri } = decode(registerSchema, options, 'options of registerRestate')
  await new RestateAdmin(admin).register(uri)
}
