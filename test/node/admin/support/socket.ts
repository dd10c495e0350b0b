import { mkdtemp, rm } from 'node:fs/promises'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { emptyAdminMemory, remember, type AdminMemory } from '../../../../src/node/admin/admin-memory.js'
import { admitCommit, type AdmissionAudit } from '../../../../src/node/admin/admission.js'
import type { SignedAttempt } from '../../../../src/node/admin/commit-document.js'
import { AdminSocket, type AdminHost, type AdminSocketOptions } from '../../../../src/node/admin/socket/admin-socket.js'
import type { AdminReceipt } from '../../../../src/node/admin/socket/protocol.js'
import type { AdminEvent } from '../../../../src/node/admin-event.js'
import type { NodeSnapshot } from '../../../../src/node/snapshot.js'
import { now, verifierWith, view } from './operators.js'

/** What stands for a loop: it judges, audits, folds into a list and remembers, at an instant that tests move. */
export class FakeNode implements AdminHost {
  verifier = verifierWith({ iceThreshold: 2 })
  readonly folded: AdminEvent[] = []
  readonly audit: AdmissionAudit[] = []
  memory: AdminMemory = emptyAdminMemory
  nowMs = now

  submit(attempt: SignedAttempt): Promise<AdminReceipt> {
    const { event, audit, accepted } = admitCommit(attempt, {
      verifier: this.verifier,
      nowMs: this.nowMs,
      memory: this.memory,
      snapshot: view,
      isFrozen: false,
      forcedEntries: { count: 0, capacity: 1024 },
    })
    if (event !== undefined) this.folded.push(event)
    if (accepted !== undefined) this.memory = remember(this.memory, accepted)
    return Promise.resolve({ outcome: audit.outcome, seq: this.audit.push(audit) })
  }

  /** As much of a snapshot as leaves through a socket. */
  snapshot(): NodeSnapshot {
    return {
      node: view.node,
      peers: view.peers,
      replicas: new Map(Array.from(view.replicas, ([chain, row]) => [chain, { chain, ...row }])),
      daemons: new Map(Array.from(view.daemons, ([id, row]) => [id, { id, name: 'daemon', ...row }])),
      inFlightMigrations: view.inFlightMigrations,
    } as unknown as NodeSnapshot
  }
}

/** A folder of our own with a node that listens in it. */
export class SocketFixture implements AsyncDisposable {
  readonly folder: string
  readonly node = new FakeNode()
  readonly #open: AsyncDisposable[] = []

  private constructor(folder: string) {
    this.folder = folder
  }

  static async create(): Promise<SocketFixture> {
    return new SocketFixture(await mkdtemp(join(tmpdir(), 'stateward-admin-')))
  }

  /** Where it listens unless told otherwise. */
  get path(): string {
    return join(this.folder, 'run', 'admin.sock')
  }

  async listen(options: Partial<AdminSocketOptions> = {}): Promise<AdminSocket> {
    const socket = await AdminSocket.open({ path: this.path, host: this.node, ...options })
    this.#open.push(socket)
    return socket
  }

  /** A connection that says what it is told, whatever that is. */
  connect(path: string = this.path): RawConnection {
    const connection = new RawConnection(createConnection(path))
    this.#open.push(connection)
    return connection
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const open of this.#open) await open[Symbol.asyncDispose]()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** The lines that come, and the end. */
export class RawConnection implements AsyncDisposable {
  readonly socket: Socket
  readonly ended: Promise<void>
  #text = ''
  readonly #waiting: (() => void)[] = []
  #isEnded = false

  constructor(socket: Socket) {
    this.socket = socket
    const wake = (): void => {
      for (const woken of this.#waiting.splice(0)) woken()
    }
    socket.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text
      wake()
    })
    socket.on('error', () => {})
    this.ended = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isEnded = true
        wake()
        resolve()
      })
    })
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes)
  }

  /** The next answer, or nothing when the connection has ended. */
  async next(): Promise<Record<string, unknown> | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n')
      if (end !== -1) {
        const line = this.#text.slice(0, end)
        this.#text = this.#text.slice(end + 1)
        return JSON.parse(line) as Record<string, unknown>
      }
      if (this.#isEnded) return undefined
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy()
    await this.ended
  }
}
