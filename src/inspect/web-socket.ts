import { createRequire } from 'node:module'
import { InspectorError } from './errors.js'

/** The part of a `ws` client that is used here. */
export interface Socket {
  on(event: 'open' | 'close', listener: () => void): void
  on(event: 'error', listener: (error: Error) => void): void
  /** Calls back once the text has been passed to the system, or has failed. */
  send(text: string, done: (error?: Error) => void): void
  close(): void
  terminate(): void
}

/** Opens a connection. */
export type OpenSocket = (url: string) => Socket

/** Far longer than a handshake takes on one machine. */
const handshakeTimeoutMs = 5000

const peer = '@statelyai/inspect'

/**
 * Loads the WebSocket client that the optional peer `@statelyai/inspect` depends on; Node 20 has no client of its own.
 * Raises `inspector_unavailable` when the peer is not installed.
 */
export function loadWebSocket(resolveFrom: string = import.meta.url): OpenSocket {
  let WebSocket: new (url: string, options: object) => Socket
  try {
    // Resolved from the peer: strict installers hide the dependencies of one package from another.
    const pathOfPeer = createRequire(resolveFrom).resolve(peer)
    WebSocket = createRequire(pathOfPeer)('ws')
  } catch (cause) {
    const text = `the inspector needs ${peer} to reach a server: npm install --save-dev ${peer}`
    throw new InspectorError('inspector_unavailable', text, { package: peer }, { cause })
  }
  return (url) => new WebSocket(url, { handshakeTimeout: handshakeTimeoutMs, perMessageDeflate: false })
}
