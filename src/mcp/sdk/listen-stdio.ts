import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/server'
import { silence } from '../../base/promises.js'
import { subscriptionIdKey } from '../wire/names.js'
import {
  isTaskListen,
  openListen,
  withoutTasks,
  type CoreFilter,
  type ListenOptions,
  type ListenStream,
  type WireRequest,
} from './listen.js'
import type { DoorContext } from './request.js'

/** A request to listen that is still active. */
interface Listening {
  readonly message: WireRequest
  /** Messages from the SDK that arrived before the acknowledgement. */
  readonly held: JSONRPCMessage[]
  /** The SDK has accepted it. */
  isTaken: boolean
  isOpen: boolean
  stream?: ListenStream
}

/** The fields that are inspected in messages of both directions. */
interface Looked {
  readonly id?: string | number
  readonly method?: string
  readonly params?: { readonly requestId?: string | number; readonly notifications?: CoreFilter }
}

/**
 * A transport with task notifications. The SDK is asked to listen to everything else in the filter: it decides whether
 * the request is served, and sends its own changes on the same subscription. Task changes are sent from here.
 */
export function transportFront(wire: Transport, door: DoorContext, options: ListenOptions): Transport {
  const all = new Map<string | number, Listening>()
  const leave = (id: string | number, listening: Listening): void => {
    listening.stream?.[Symbol.dispose]()
    if (all.get(id) === listening) all.delete(id)
  }
  const closeAll = (): void => {
    for (const [id, listening] of all) leave(id, listening)
  }
  const put = (message: object): Promise<void> => wire.send(message as JSONRPCMessage)
  const onFault = (failure: unknown): void => front.onerror?.(failure as Error)
  /** Ends the subscription at the SDK. */
  const releaseAtSdk = (id: string | number): void =>
    front.onmessage?.({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } })

  const serve = async (id: string | number, listening: Listening, core: CoreFilter): Promise<void> => {
    const opened = await openListen(door, options, listening.message, undefined, core)
    // It may have been cancelled or replaced meanwhile.
    const isCurrent = all.get(id) === listening
    if ('error' in opened) {
      if (!isCurrent) return
      leave(id, listening)
      releaseAtSdk(id)
      return put({ jsonrpc: '2.0', id, error: opened.error })
    }
    const { stream } = opened
    if (!isCurrent) return stream[Symbol.dispose]()
    listening.stream = stream
    try {
      // The next message is taken only when the last one is written, so the pipe sets the pace.
      for (let next = await stream.next(); next !== undefined; next = await stream.next()) {
        await put(next)
        listening.isOpen = true
        for (const held of listening.held.splice(0)) await put(held)
      }
    } finally {
      stream[Symbol.dispose]()
      if (all.get(id) === listening) {
        leave(id, listening)
        releaseAtSdk(id)
      }
    }
  }

  const front: Transport = {
    start: () => wire.start(),
    send: async (message, given) => {
      const { id, method, params } = message as Looked
      if (id !== undefined && method === undefined) {
        // The SDK has refused or ended the subscription.
        const answered = all.get(id)
        if (answered !== undefined) leave(id, answered)
      }
      const subscription = id === undefined ? subscriptionOf(params) : undefined
      const listening = subscription === undefined ? undefined : all.get(subscription)
      if (subscription === undefined || listening === undefined || listening.isOpen) return wire.send(message, given)
      if (listening.isTaken || method !== 'notifications/subscriptions/acknowledged') {
        listening.held.push(message)
        return
      }
      listening.isTaken = true
      silence(serve(subscription, listening, params?.notifications ?? {}).catch(onFault))
    },
    close: () => {
      closeAll()
      return wire.close()
    },
    setProtocolVersion: (version) => wire.setProtocolVersion?.(version),
  }
  // Transports have these handler properties only.
  // oxlint-disable unicorn/prefer-add-event-listener
  wire.onmessage = (message, extra) => {
    const { id, method, params } = message as Looked
    if (id !== undefined && isTaskListen(message)) {
      // A repeated id replaces the earlier subscription, as it does in the SDK.
      const before = all.get(id)
      if (before !== undefined) leave(id, before)
      all.set(id, { message, held: [], isTaken: false, isOpen: false })
      return front.onmessage?.(withoutTasks(message) as JSONRPCMessage, extra)
    }
    const { requestId } = params ?? {}
    if (method === 'notifications/cancelled' && requestId !== undefined) {
      const cancelled = all.get(requestId)
      if (cancelled !== undefined) leave(requestId, cancelled)
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

/** The subscription that an SDK message belongs to, if any. */
function subscriptionOf(params: Looked['params']): string | number | undefined {
  const { _meta } = (params ?? {}) as { readonly _meta?: Readonly<Record<string, unknown>> }
  return _meta?.[subscriptionIdKey] as string | number | undefined
}
