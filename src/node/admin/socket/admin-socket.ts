import { createServer, type Server, type Socket } from 'node:net'
import { resolve } from 'node:path'
import * as v from 'valibot'
import type { Clock, TimeoutHandle } from '../../../base/clock.js'
import { systemClock } from '../../../base/clock.js'
import { decode } from '../../../base/decode.js'
import { faultFields } from '../../../base/error-details.js'
import { messageOf, StatewardError } from '../../../base/errors.js'
import type { Logger } from '../../../base/logger.js'
import { guardedLogger } from '../../../base/observers.js'
import { durationSchema, nameSchema, optionsSchema, portSchema } from '../../../base/options.js'
import { clockSchema, loggerSchema } from '../../../base/ports.js'
import type { NodeSnapshot } from '../../snapshot.js'
import { decodeCommit, type SignedAttempt } from '../commit-document.js'
import { AdminError } from '../errors.js'
import { encodeSimulationView } from '../simulation.js'
import type { AdminVerifier } from '../verifier.js'
import { LineReader } from './line-reader.js'
import { requestFailed, socketFailed, socketOpened } from './lines.js'
import { mostRequestBytes, receiptCodec, requestSchema, type AdminAnswer, type AdminReceipt } from './protocol.js'
import { checkVacant, nameBeside, prepareSocketFolder, publishSocket, removeSocket } from './socket-path.js'

/** The node behind a socket, as operators can reach it. */
export interface AdminHost {
  /** Decides who may connect; the socket does not open if it knows no operator. */
  readonly verifier: AdminVerifier | undefined
  /** Submits an attempt to the loop. Resolves once it is judged and audited and its effects are durable. */
  submit(attempt: SignedAttempt): Promise<AdminReceipt>
  /** The latest snapshot. */
  snapshot(): NodeSnapshot
}

/** Where a node listens for its operators. */
export interface AdminSocketOptions {
  /** Path of the socket. Its folder must belong to this user alone; it is created if missing. */
  readonly path: string
  readonly host: AdminHost
  readonly logger?: Logger
  readonly clock?: Clock
  /** How long a connection may stay silent, in milliseconds. Default 30,000. */
  readonly idleMs?: number
}

const optionsOfSocket = optionsSchema<AdminSocketOptions>({
  path: nameSchema,
  host: portSchema<AdminHost>(['submit', 'snapshot']),
  logger: v.optional(loggerSchema),
  clock: v.optional(clockSchema),
  idleMs: v.optional(durationSchema),
})

/** Maximum number of simultaneous connections; there are few operators. */
const mostConnections = 16

/**
 * Listens for operators at a Unix socket that only the user of this process can open (mode 0600, in a folder of mode
 * 0700). Input is bounded, decoded by schema and must be signed: being able to connect is not enough to command the
 * node. It stays open until it is closed or disposed.
 */
export class AdminSocket implements AsyncDisposable {
  readonly path: string
  readonly #server: Server
  readonly #connections: ReadonlySet<Connection>
  readonly #remove: () => Promise<void>
  #closed: Promise<void> | undefined

  private constructor(path: string, server: Server, connections: ReadonlySet<Connection>, remove: () => Promise<void>) {
    this.path = path
    this.#server = server
    this.#connections = connections
    this.#remove = remove
  }

  /**
   * Opens the socket, replacing a stale one at which nobody listens.
   *
   * Raises `invalid_input`, `admin.no_operators`, `admin.socket_occupied`, `admin.socket_path_too_long`,
   * `admin.file_exposed`, `admin.file_unusable`.
   */
  static async open(options: AdminSocketOptions): Promise<AdminSocket> {
    const {
      path: given,
      host,
      logger,
      clock = systemClock,
      idleMs = 30_000,
    } = decode(optionsOfSocket, options, 'admin socket')
    if (host.verifier === undefined || host.verifier.operators.size === 0)
      throw new AdminError('admin.no_operators', {})
    const path = resolve(given)
    await prepareSocketFolder(path)
    await checkVacant(path)
    const connections = new Set<Connection>()
    const guarded = guardedLogger(logger)
    const server = createServer((socket) => {
      const connection = new Connection(socket, { host, logger: guarded, clock, idleMs })
      connections.add(connection)
      socket.once('close', () => connections.delete(connection))
    })
    server.maxConnections = mostConnections
    const made = nameBeside(path)
    try {
      await listening(server, made)
      const identity = await publishSocket(made, path)
      server.on('error', (error) => socketFailed(guarded, faultFields(error)))
      socketOpened(guarded, { path, operators: host.verifier.operators.size })
      return new AdminSocket(path, server, connections, () => removeSocket(path, identity))
    } catch (cause) {
      server.close()
      throw new AdminError('admin.file_unusable', { path, reason: messageOf(cause) }, { cause })
    }
  }

  /**
   * Removes the socket and ends every connection. Attempts already submitted to the loop are still judged, but their
   * senders get no answer.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const ended = new Promise<void>((resolveEnded) => this.#server.close(() => resolveEnded()))
    for (const connection of this.#connections) connection.end()
    await this.#remove()
    await ended
  }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolveListening, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolveListening()
    })
  })
}

type ConnectionOptions = Required<Pick<AdminSocketOptions, 'host' | 'logger' | 'clock' | 'idleMs'>>

/** One operator's connection. Requests are answered in order; reading pauses while one is being answered. */
class Connection {
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  readonly #reader = new LineReader(mostRequestBytes)
  /** The timer of a silent connection; `undefined` while it is not running. */
  #idle: TimeoutHandle

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket
    this.#options = options
    // The client has gone; there is nobody to answer.
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#stopWaiting())
    socket.on('data', (bytes) => void this.#take(bytes))
    this.#awaitRequest()
  }

  end(): void {
    this.#socket.destroy()
  }

  #awaitRequest(): void {
    const { clock, idleMs } = this.#options
    this.#stopWaiting()
    if (!this.#socket.destroyed) this.#idle = clock.setTimeout(() => this.end(), idleMs)
  }

  #stopWaiting(): void {
    if (this.#idle !== undefined) this.#options.clock.clearTimeout(this.#idle)
    this.#idle = undefined
  }

  async #take(bytes: Uint8Array): Promise<void> {
    this.#socket.pause()
    const lines = this.#linesOf(bytes)
    if (lines === undefined) return this.#refuse()
    for (const line of lines) {
      const answer = await this.#answer(line)
      if (!this.#socket.writable) return
      if (!this.#socket.write(`${JSON.stringify(answer)}\n`)) await taken(this.#socket)
      this.#awaitRequest()
    }
    this.#socket.resume()
  }

  #linesOf(bytes: Uint8Array): readonly string[] | undefined {
    try {
      return this.#reader.take(bytes)
    } catch {
      return undefined
    }
  }

  /** The start of the next request can no longer be found. */
  #refuse(): void {
    const message = `a request is a line of UTF-8 of at most ${mostRequestBytes} bytes`
    this.#socket.end(`${JSON.stringify({ type: 'error', code: 'invalid_input', message } satisfies AdminAnswer)}\n`)
    this.#socket.destroySoon()
  }

  async #answer(line: string): Promise<AdminAnswer> {
    const { host, logger } = this.#options
    try {
      const request = decode(requestSchema, parse(line), 'admin request')
      if (request.type === 'snapshot') return { type: 'snapshot', snapshot: encodeSimulationView(host.snapshot()) }
      const receipt = await host.submit(decodeCommit(request.commit))
      return { type: 'receipt', receipt: receiptCodec.encode(receipt) }
    } catch (error) {
      if (StatewardError.is(error)) return { type: 'error', code: error.code, message: error.message }
      requestFailed(logger, faultFields(error))
      return { type: 'error', code: 'internal', message: 'the node failed to answer' }
    }
  }
}

/**
 * Resolves when the output has been flushed or never will be: a client that does not read gets no further requests
 * served.
 */
function taken(socket: Socket): Promise<void> {
  return new Promise((resolveTaken) => {
    const settle = (): void => {
      socket.off('drain', settle)
      socket.off('close', settle)
      resolveTaken()
    }
    socket.on('drain', settle)
    socket.on('close', settle)
  })
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new StatewardError('invalid_input', `invalid admin request: not JSON: ${messageOf(cause)}`, {}, { cause })
  }
}
