import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo, Socket } from 'node:net'
import type { StatelyInspectionEvent } from 'stateward/inspect'
import { Received } from './received.js'

interface ServerSocket {
  on(event: 'message', listener: (data: Buffer) => void): void
}

interface SocketServer {
  on(event: 'connection', listener: (socket: ServerSocket) => void): void
}

const requireOfPeer = createRequire(createRequire(import.meta.url).resolve('@statelyai/inspect'))
const { WebSocketServer } = requireOfPeer('ws') as { WebSocketServer: new (options: object) => SocketServer }

/** A WebSocket server that can be slow and can hang up. */
export interface Listener extends AsyncDisposable {
  readonly url: string
  readonly received: Received
  /** Reads no more, until {@link Listener.resume}. */
  pause(): void
  resume(): void
  /** Breaks every connection. */
  hangUp(): void
}

/** Starts a server on 127.0.0.1. */
export async function startListener(): Promise<Listener> {
  const http = createServer()
  const received = new Received()
  const sockets = new Set<Socket>()
  http.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  new WebSocketServer({ server: http }).on('connection', (socket) => {
    socket.on('message', (data) => received.add(JSON.parse(data.toString()) as StatelyInspectionEvent))
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const hangUp = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}`,
    received,
    pause: () => {
      for (const socket of sockets) socket.pause()
    },
    resume: () => {
      for (const socket of sockets) socket.resume()
    },
    hangUp,
    [Symbol.asyncDispose]: async () => {
      const closed = once(http, 'close')
      http.close()
      hangUp()
      await closed
    },
  }
}
