import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '../../base/clock.js'
import type { InspectorRequestHandler } from './inspector-server.js'

/** How long viewers have to read the last message, in milliseconds. */
const closeGraceMs = 500

/** A server that listens on this machine only. */
export interface LocalServer extends AsyncDisposable {
  readonly port: number
}

/** Listens on 127.0.0.1. Rejects with the error of the system, for instance `EADDRINUSE`. */
export async function listenLocally(handler: InspectorRequestHandler, port = 0): Promise<LocalServer> {
  const server = createServer({ maxHeaderSize: 16 * 1024, requestTimeout: 30_000 }, (request, response) =>
    handler(request, response),
  )
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeIdleConnections()
      // Viewers get a last message; the connections of those that do not read it are closed.
      const grace = systemClock.setTimeout(() => server.closeAllConnections(), closeGraceMs)
      await closed
      systemClock.clearTimeout(grace)
    },
  }
}
