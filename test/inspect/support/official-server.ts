import { once } from 'node:events'
import { Server, type AddressInfo, type Socket } from 'node:net'
import { createWebSocketReceiver, type StatelyInspectionEvent } from '@statelyai/inspect'
import { createInspectorServer } from '@statelyai/inspect/server'
import { vi } from 'vitest'

/** The inspector server of `@statelyai/inspect` with one receiver of its own that keeps what arrives. */
export interface OfficialServer extends AsyncDisposable {
  readonly url: string
  readonly received: readonly StatelyInspectionEvent[]
  /** Resolves once the events received so far satisfy the condition. */
  until(isEnough: (events: readonly StatelyInspectionEvent[]) => boolean): Promise<void>
}

/** Starts the server on a port of its own. It can neither be told an address nor closed with its clients, so its socket is caught. */
export async function startOfficialServer(): Promise<OfficialServer> {
  const server = catchServer(() => createInspectorServer({ port: 0, autoOpen: false }))
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await once(server, 'listening')
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
  const received: StatelyInspectionEvent[] = []
  let check = (): void => {}
  const isReceiving = once(server, 'upgrade')
  createWebSocketReceiver({ server: url }).subscribe((event) => {
    received.push(event)
    check()
  })
  await isReceiving
  return {
    url,
    received,
    until: (isEnough) =>
      new Promise((resolve) => {
        check = () => {
          if (isEnough(received)) resolve()
        }
        check()
      }),
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function catchServer(start: () => void): Server {
  const caught: Server[] = []
  // oxlint-disable-next-line typescript/unbound-method -- called with its `this` below
  const listen = Server.prototype.listen as (this: Server, port: number, host: string, listener: () => void) => Server
  const spy = vi.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server, ...[port, listener]) {
    caught.push(this)
    return listen.call(this, port as number, '127.0.0.1', listener as unknown as () => void)
  })
  start()
  spy.mockRestore()
  const [server] = caught
  if (server === undefined) throw new Error('the inspector server did not listen')
  return server
}
