/** The agent service as a port of operations, used over HTTP alone: docs/testing.md. */
// #region shown
import { StatewardError, type OperationId, type OperationOutcome, type OperationStatus } from 'stateward'
import type { OperationsPort, ReportedFeed, ReportedOperation } from 'stateward/testing'

/** An operation as the service reports it. */
interface ServiceOperation {
  readonly id: string
  readonly displayName: string
  readonly status: OperationStatus
  readonly outcome: OperationOutcome | null
}

/** A completion as its stream reports it. */
interface ServiceCompletion extends Pick<ServiceOperation, 'displayName'> {
  readonly seq: number
  readonly operationId: string
  readonly outcome: OperationOutcome
}

/** Ends the sleeping job that was started for this many milliseconds. */
export type WakeJob = (ms: number) => void

/** The service's operations by the ids of the model, which survive the service's process. */
export type ServiceIds = Map<OperationId, { readonly id: string; readonly ms: number }>

/** The service at an address, driven by the model. */
export class ServicePort implements OperationsPort {
  readonly #session: string
  readonly #wake: WakeJob
  readonly #ids: ServiceIds

  constructor(url: string, wake: WakeJob, ids: ServiceIds) {
    this.#session = `${url}/sessions/model`
    this.#wake = wake
    this.#ids = ids
  }

  /** Every operation is a job that sleeps until it is woken. */
  async run({ id, displayName }: { readonly id: OperationId; readonly displayName: string }): Promise<void> {
    const ms = 1_000_000 + this.#ids.size
    const started = await this.#ask<ServiceOperation>('POST', '/operations', {
      displayName,
      job: { type: 'sleep', ms },
    })
    this.#ids.set(id, { id: started.id, ms })
  }

  async completeOperation(id: OperationId): Promise<void> {
    const job = this.#ids.get(id)
    if (job === undefined) throw new StatewardError('not_found', 'the model names an operation that never was', { id })
    this.#wake(job.ms)
    await this.#ask('POST', '/wait', { operationIds: [job.id] })
  }

  async cancelOperation(id: OperationId): Promise<void> {
    await this.#ask('POST', `/operations/${this.#theirs(id)}/cancel`, {})
  }

  async snapshot(id: OperationId): Promise<ReportedOperation> {
    return this.#reported(await this.#ask('GET', `/operations/${this.#theirs(id)}`))
  }

  async listOperations(): Promise<readonly ReportedOperation[]> {
    if (this.#ids.size === 0) return []
    const { operations } = await this.#ask<{ operations: ServiceOperation[] }>('GET', '/operations')
    return operations.map((operation) => this.#reported(operation))
  }

  get lost(): Promise<{ readonly id: OperationId; readonly status: 'running' | 'provisioning' }[]> {
    return this.#lost()
  }

  completionFeed(): ReportedFeed {
    return { since: async () => ({ entries: await this.#completions() }) }
  }

  /** Reads the stream from its beginning up to the first heartbeat: then all existing completions have arrived. */
  async #completions() {
    if (this.#ids.size === 0) return []
    const leave = new AbortController()
    const { body } = await fetch(`${this.#session}/completions`, { signal: leave.signal })
    let received = ''
    try {
      for await (const text of body?.pipeThrough(new TextDecoderStream()) ?? []) {
        received += text
        if (received.includes(': still here')) break
      }
    } finally {
      leave.abort()
    }
    const rows = Array.from(received.matchAll(/^data: (.*)$/gm), ([, row = '']) => JSON.parse(row) as ServiceCompletion)
    return rows.map(({ seq, operationId, displayName, outcome: { type } }) => ({
      seq,
      operationId: this.#ours(operationId),
      displayName,
      outcome: { type },
    }))
  }

  async #lost() {
    if (this.#ids.size === 0) return []
    type Lost = { readonly id: string; readonly status: 'running' | 'provisioning' }
    const { lost } = await this.#ask<{ lost: Lost[] }>('GET', '/operations')
    return lost.map(({ id, status }) => ({ id: this.#ours(id), status }))
  }

  /** Ends are compared by type; the result of a job is up to the service. */
  #reported({ id, displayName, status, outcome }: ServiceOperation): ReportedOperation {
    return { id: this.#ours(id), displayName, status, outcome: outcome && { type: outcome.type } }
  }

  #theirs(id: OperationId): string {
    return this.#ids.get(id)?.id ?? id
  }

  #ours(theirs: string): OperationId {
    const [ours] = [...this.#ids].find(([, { id }]) => id === theirs) ?? []
    if (ours === undefined) throw new StatewardError('unknown_operation', `nobody started ${theirs}`, { id: theirs })
    return ours
  }

  /** An answer, or an error with the service's code. */
  async #ask<Answer>(method: 'GET' | 'POST', path: string, body?: object): Promise<Answer> {
    const response = await fetch(`${this.#session}${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    const answer = (await response.json()) as Answer & { readonly code: string; readonly message: string }
    if (response.ok) return answer
    // Before the first start there is no session; to the model the operation simply does not exist.
    const code = answer.code === 'session_not_found' ? 'not_found' : answer.code
    throw new StatewardError(code, `${response.status} ${answer.message}`, undefined)
  }
}
// #endregion
