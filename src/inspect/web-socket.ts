import { createRequire } from 'node:module'
import { InspectorError } from './errors.js'

/** The little of a `ws` client that is used here. */
export interface Socket {
  on(event: 'open' | 'close', listener: () => void): void
  on(event: 'error', listener: (error: Error) => void): void
  /** Calls back once the text has left for the system, or could not. */
  send(text: string, done: (error?: Error) => void): void
  close(): void
  terminate(): void
}

/** Opens a connection. */
export type OpenSocket = (url: string) => Socket

/** Far more than the answer to a handshake takes on one machine. */
const handshakeTimeoutMs = 5000

const peer = '@statelyai/inspect'

/**
 * The WebSocket client that the optional peer `@statelyai/inspect` brings along; Node 20 has none of its own.
 * Raises `inspector_unavailable` when the peer is not installed.
 */
export function loadWebSocket(resolveFrom: string = import.meta.url): OpenSocket {
  let WebSocket: new (url: string, options: object) => Socket
  try {
    // Found from where the peer is: strict installers do not show a package the dependencies of another.
    const pathOfPeer = createRequire(resolveFrom).resolve(peer)
    WebSocket = createRequire(pathOfPeer)('ws')
  } catch (cause) {
    const text = `the inspector needs ${peer} to reach a server: npm install --save-dev ${peer}`
    throw new InspectorError('inspector_unavailable', text, { package: peer }, { cause })
  }
  return (url) => new WebSocket(url, { handshakeTimeout: handshakeTimeoutMs, perMessageDeflate: false })
}
