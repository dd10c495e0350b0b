import { once } from 'node:events'
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'

/** A way to a server of PostgreSQL that can be cut: what was sent is lost, and nobody is told. */
export class CutOff implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #target: URL
  #isCut = false

  private constructor(target: URL) {
    this.#target = target
    this.#server = createServer((client) => this.#forward(client))
  }

  static async open(url: string): Promise<CutOff> {
    const way = new CutOff(new URL(url))
    way.#server.listen(0, '127.0.0.1')
    await once(way.#server, 'listening')
    return way
  }

  get url(): string {
    const url = new URL(this.#target)
    url.hostname = '127.0.0.1'
    url.port = String((this.#server.address() as AddressInfo).port)
    return url.href
  }

  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.pause()
  }

  /** New connections are let through; those that were cut are gone. */
  restore(): void {
    this.#isCut = false
    for (const socket of this.#sockets) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.restore()
    await once(this.#server, 'close')
  }

  #forward(client: Socket): void {
    const { hostname, port } = this.#target
    const server = connect(Number(port === '' ? 5432 : port), hostname)
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      from.on('data', (data) => {
        if (!this.#isCut) to.write(data)
      })
      if (this.#isCut) from.pause()
    }
  }
}
