import * as restate from '@restatedev/restate-sdk'
import { randomUUID } from 'node:crypto'
import { createServer, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
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
import { insist } from './connection.js'
import { RestateIngress } from './ingress.js'
import { isOperationDefinition, type OperationDefinition } from './operation-definition.js'
import { operationWorkflow } from './operation-workflow.js'
import { providePromiseResolvers } from './polyfill.js'
import { processObject } from './process-object.js'
import { processWorkflow } from './process-workflow.js'
import { takeoverPolicy } from './retry.js'
import type { RowPlace } from './run-scope.js'
import { waitService } from './services.js'
import { sessionObject } from './session-object.js'
import { waits } from './wait-service.js'
import { addressSchema, claimedSchema, type ClaimRequest } from './wire.js'

/** Options of a worker that serves processes and operations. */
export interface ServeRestateOptions {
  /**
   * The definitions of processes and operations that it runs (`defineProcess`, `defineOperation`). Both may call the
   * processes among them. Workers behind one address must have the same definitions.
   */
  readonly definitions: readonly (ProcessDefinition | OperationDefinition)[]
  /** The engine's address for calls, for instance `http://127.0.0.1:8080`. Steps claim their right to run there. */
  readonly ingress: string
  /** Default 0: any free port. */
  readonly port?: number
  /** The interface to listen on. Default 127.0.0.1. */
  readonly host?: string
  /** The name of this worker in records. Each of its starts is a separate incarnation. Default `worker`. */
  readonly owner?: string
  /**
   * How many attempts may fail, lost workers included, before the process or operation is paused. Default 1,000, about
   * eight minutes.
   */
  readonly maxAttempts?: number
  /** Milliseconds for which the engine keeps the result of a run for later waits. Default: one day. */
  readonly retentionMs?: number
  /** The minimum number of feed rows that a session keeps, together with the operations they report. Default 1,024. */
  readonly completionsKept?: number
  /** Logs warnings of the engine's library. Default: no logging. */
  readonly logger?: Logger
  /**
   * The clock for the times in rows and the expiry of store leases. The engine's timers use its own clock. Default: the
   * system clock.
   */
  readonly clock?: Clock
}

/** Milliseconds for which a worker asks an engine that is away. */
const outageMs = 30_000

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
  /** The address at which the engine reaches it. Register it, unless several workers share another address. */
  readonly uri: string
  /** Stops listening and drops the connections. Other workers retry what was in progress. */
  close(): Promise<void>
}

/**
 * Serves a Restate server: processes, sessions of operations, their feeds, and the definitions. The worker stores
 * nothing. If it is lost, another worker behind the same address continues its work.
 *
 *     const worker = await serveRestate({ definitions: [report], ingress: 'http://127.0.0.1:8080', port: 9080 })
 *     await registerRestate({ admin: 'http://127.0.0.1:9070', uri: worker.uri })
 *
 * Rejects with `invalid_input` naming the field, and with the error of listening.
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
    ended: async ({ service, key }: RowPlace, id: string, idempotencyKey: string, signal: AbortSignal) => {
      await insist({ clock: systemClock, outageMs }, signal, () =>
        ingress.call([waitService, 'end'], { service, key, id }, v.unknown(), { signal, idempotencyKey }),
      )
    },
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
  // Without it, what is written in several small parts waits for the network to confirm the first.
  server.on('connection', (socket: Socket) => socket.setNoDelay(true))
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
