import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** One address for several workers. Connections are distributed in turn, skipping workers that refuse them. */
export interface Balancer extends AsyncDisposable {
  readonly uri: string
}

/**
 * Starts a balancer on loopback. Restate retries at the address it was given, so there must be other workers behind it
 * when one has died.
 */
export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  const open = new Set<Socket>()
  let turn = 0
  const server = createServer({ noDelay: true }, (client) => {
    open.add(client)
    client.on('error', () => client.destroy())
    client.once('close', () => open.delete(client))
    const tryNext = (left: number): void => {
      if (left === 0) return void client.destroy()
      const worker = connect({ port: ports[turn++ % ports.length] ?? 0, host: '127.0.0.1', noDelay: true })
      let isConnected = false
      worker.once('connect', () => {
        isConnected = true
        client.pipe(worker).pipe(client)
      })
      worker.on('error', () => (isConnected ? client.destroy() : tryNext(left - 1)))
      worker.once('close', () => isConnected && client.destroy())
      client.once('close', () => worker.destroy())
    }
    tryNext(ports.length)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}
