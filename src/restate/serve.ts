import * as restate from '@restatedev/restate-sdk'
import { randomUUID } from 'node:crypto'
import { createServer, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import * as v from 'valibot'
import { systemClock, type Clock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import { InvalidInputError, messageOf } from '../base/errors.js'
import { silentLogger, type Logger } from '../base/logger.js'
import { clockSchema, loggerSchema } from '../base/ports.js'
import { durationSchema, optionsSchema, textOf, textSchema, wholeNumberSchema } from '../base/options.js'
import { defaultMaxCompleted, feedCapacity } from '../operations/index.js'
import type { ProcessDefinition } from '../processes/index.js'
import { isProcessDefinition } from '../processes/definition.js'
import { RestateIngress } from './ingress.js'
import { isOperationDefinition, type OperationDefinition } from './operation-definition.js'
import { operationWorkflow } from './operation-workflow.js'
import { providePromiseResolvers } from './polyfill.js'
import { processObject } from './process-object.js'
import { processWorkflow } from './process-workflow.js'
import { takeoverPolicy } from './retry.js'
import type { RowPlace } from './run-scope.js'
import { sessionObject } from './session-object.js'
import { waits } from './wait-service.js'
import { addressSchema, claimedSchema, type ClaimRequest } from './wire.js'

/** How a worker serves processes and operations. */
export interface ServeRestateOptions {
  /**
   * The processes and the operations that it runs (`defineProcess`, `defineOperation`); the processes are those that both may
   * call. Workers behind one address have the same ones.
   */
  readonly definitions: readonly (ProcessDefinition | OperationDefinition)[]
  /** Where the engine takes calls, such as `http://127.0.0.1:8080`: a step asks there for its right to be done. */
  readonly ingress: string
  /** Default 0: one that is free. */
  readonly port?: number
  /** The interface that it listens at. Default 127.0.0.1. */
  readonly host?: string
  /** A name for this worker in what is recorded; each start of it is an incarnation of its own. Default `worker`. */
  readonly owner?: string
  /** How often an attempt may fail, a lost worker included, before the process or operation is paused. Default 1000, some eight minutes. */
  readonly maxAttempts?: number
  /** Milliseconds for which the engine keeps what a run has come to, for who waits for it. Default a day. */
  readonly retentionMs?: number
  /** Rows of the feed of a session that are kept at least, with the operations that they tell of. Default 1024. */
  readonly completionsKept?: number
  /** Hears what the engine's library warns of. Default: nobody. */
  readonly logger?: Logger
  /** By what rows are dated and leases of stores expire; the engine's own times are its own. Default the clock of the process. */
  readonly clock?: Clock
}

const serveSchema = optionsSchema<ServeRestateOptions>({
  definitions: v.array(
    v.custom<ProcessDefinition | OperationDefinition>(
      (input) => isProcessDefinition(input) || isOperationDefinition(input),
      ({ input }) => `not a definition: ${textOf(input)}`,
    ),
  ),
  ingress: addressSchema,
  port: v.optional(wholeNumberSchema(0)),
  host: v.optional(textSchema()),
  owner: v.optional(textSchema()),
  maxAttempts: v.optional(wholeNumberSchema(1)),
  retentionMs: v.optional(durationSchema),
  completionsKept: v.optional(wholeNumberSchema(1)),
  logger: v.optional(loggerSchema),
  clock: v.optional(clockSchema),
})

/** A worker that serves the engine. */
export interface RestateWorker extends AsyncDisposable {
  readonly port: number
  /** Where the engine reaches it; what is registered there, unless there are several workers behind another address. */
  readonly uri: string
  /** Stops listening and drops the connections: what was under way is tried by another worker. */
  close(): Promise<void>
}

/**
 * Serves a Restate server: processes, sessions of operations, their feeds, and the definitions. Nothing is kept here; what a worker was
 * doing when it is lost is done by another one behind the same address.
 *
 *     const worker = await serveRestate({ definitions: [report], ingress: 'http://127.0.0.1:8080', port: 9080 })
 *     await registerRestate({ admin: 'http://127.0.0.1:9070', uri: worker.uri })
 *
 * Rejects with `invalid_input` naming the field, and with what listening fails with.
 */
export async function serveRestate(options: ServeRestateOptions): Promise<RestateWorker> {
  const taken = decode(serveSchema, options, 'options of serveRestate')
  const {
    port = 0,
    host = '127.0.0.1',
    maxAttempts = 1000,
    retentionMs = 24 * 3_600_000,
    completionsKept = feedCapacity(defaultMaxCompleted),
    logger = silentLogger,
    clock = systemClock,
  } = taken
  const definitions = new Map<string, ProcessDefinition>()
  const operations = new Map<string, OperationDefinition>()
  for (const definition of taken.definitions) {
    if (isOperationDefinition(definition)) operations.set(definition.name, definition)
    else definitions.set(definition.kind, definition)
  }
  if (definitions.size + operations.size < taken.definitions.length)
    throw new InvalidInputError({
      subject: 'options of serveRestate',
      field: 'definitions',
      reason: 'a kind comes twice',
    })
  providePromiseResolvers()
  const ingress = new RestateIngress({ url: taken.ingress })
  const retryPolicy = takeoverPolicy(maxAttempts)
  const workflow = {
    definitions,
    owner: { ownerId: taken.owner ?? 'worker', incarnationId: randomUUID() },
    claim: ({ service, key }: RowPlace, request: ClaimRequest) =>
      ingress.call([service, key, 'claim'], request, claimedSchema),
    retryPolicy,
    retentionMs,
  }
  const handler = restate.createEndpointHandler({
    services: [
      processObject(retryPolicy, clock),
      sessionObject(retryPolicy, clock, completionsKept),
      waits(retryPolicy),
      processWorkflow(workflow),
      operationWorkflow({
        ...workflow,
        operations,
        report: async ({ service, key }, id, report) => {
          await ingress.call([service, key, 'progress'], { id, ...report }, v.unknown())
        },
      }),
    ],
    bidirectional: true,
    logger: ({ level: stated }, ...texts: unknown[]) => {
      const level: string = stated
      // What it does all the time is not news; what it calls an error is tried again.
      if (level !== 'warn' && level !== 'error') return
      logger.warn({ level }, texts.map(messageOf).join(' '))
    },
  })
  const server = createServer(handler)
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const bound = (server.address() as AddressInfo).port
  let closing: Promise<void> | undefined
  const close = (): Promise<void> =>
    (closing ??= new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const session of sessions) session.destroy()
    }))
  return { port: bound, uri: `http://${host}:${bound}`, close, [Symbol.asyncDispose]: close }
}
