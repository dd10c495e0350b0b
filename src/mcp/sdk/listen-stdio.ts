import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/server'
import { silence } from '../../base/promises.js'
import { isTaskListen, openListen, type ListenOptions, type ListenStream, type WireRequest } from './listen.js'
import type { DoorContext } from './request.js'

/** What a request to listen is cancelled with. */
interface Cancelled {
  readonly method?: unknown
  readonly params?: { readonly requestId?: unknown }
}

/**
 * The transport with requests to listen to tasks taken out of it and answered here; everything else passes. Such a stream tells of
 * tasks alone: what else its filter names is not acknowledged.
 */
export function transportFront(wire: Transport, door: DoorContext, options: ListenOptions): Transport {
  const streams = new Map<unknown, ListenStream | undefined>()
  const closeAll = (): void => {
    for (const stream of streams.values()) stream?.[Symbol.dispose]()
    streams.clear()
  }
  const send = (message: object): Promise<void> => wire.send(message as JSONRPCMessage)
  const front: Transport = {
    start: () => wire.start(),
    send: (message, given) => wire.send(message, given),
    close: () => {
      closeAll()
      return wire.close()
    },
    setProtocolVersion: (version) => wire.setProtocolVersion?.(version),
  }
  const serve = async (message: WireRequest): Promise<void> => {
    const { id } = message
    // Known from now on, so that it can be cancelled before it is open.
    streams.set(id, undefined)
    const opened = await openListen(door, options, message, undefined)
    if ('error' in opened) {
      streams.delete(id)
      return send({ jsonrpc: '2.0', id, error: opened.error })
    }
    const { stream } = opened
    if (!streams.has(id)) return stream[Symbol.dispose]()
    streams.set(id, stream)
    try {
      // The next one is taken when the last one is written: the pipe sets the pace.
      for (let next = await stream.next(); next !== undefined; next = await stream.next()) await send(next)
    } finally {
      stream[Symbol.dispose]()
      if (streams.get(id) === stream) streams.delete(id)
    }
  }
  // The interface of transports has these and no others.
  // oxlint-disable unicorn/prefer-add-event-listener
  wire.onmessage = (message, extra) => {
    if (isTaskListen(message)) {
      silence(serve(message).catch((failure: unknown) => front.onerror?.(failure as Error)))
      return
    }
    const { method, params } = message as Cancelled
    if (method === 'notifications/cancelled' && streams.has(params?.requestId)) {
      streams.get(params?.requestId)?.[Symbol.dispose]()
      streams.delete(params?.requestId)
      return
    }
    front.onmessage?.(message, extra)
  }
  wire.onclose = () => {
    closeAll()
    front.onclose?.()
  }
  wire.onerror = (error) => front.onerror?.(error)
  // oxlint-enable unicorn/prefer-add-event-listener
  return front
}
