import { createHmac } from 'node:crypto'
import * as v from 'valibot'
import { StatewardError } from '../../base/errors.js'
import type { Processes } from '../../processes/index.js'

/** Bytes of an id. It is written as 32 visible characters, so it fits in a header unchanged. */
export const idBytes = 24

/** The id of the process that stores the secret of a directory. It is never run and never ends. */
const secretId = 'stateward/mcp'
const secretSchema = v.object({ v: v.literal(1), secret: v.pipe(v.string(), v.regex(/^[\w-]{43}$/)) })

/** How many hashed principals are cached. */
const mostPrincipals = 1000

/** The secret that makes ids and hashes of one directory unguessable. It is stored in the directory. */
export class DirectorySecret {
  readonly #secret: string
  /** Cache of hashed principals, by principal. */
  readonly #principals = new Map<string, string>()

  private constructor(secret: string) {
    this.#secret = secret
  }

  /** Reads the secret of the directory, or creates it. */
  static async open(processes: Processes, random: (size: number) => Uint8Array): Promise<DirectorySecret> {
    const found = await readSecret(processes)
    if (found !== undefined) return new DirectorySecret(found)
    const secret = Buffer.from(random(32)).toString('base64url')
    try {
      await processes.store.registerProcess({
        id: secretId,
        input: { type: 'external', metadata: { v: 1, secret } },
        disposition: 'externally_owned',
        identity: { kind: 'mcp-door', label: 'what ids of MCP tasks are made with' },
        eventTypes: [],
        provenance: { originator: { type: 'host' } },
      })
      return new DirectorySecret(secret)
    } catch (refusal) {
      const other = StatewardError.is(refusal, 'process.registration_conflict')
        ? await readSecret(processes)
        : undefined
      if (other === undefined) throw refusal
      return new DirectorySecret(other)
    }
  }

  /** The stored form of a principal: a hash that does not reveal who it is. */
  principal(principal: string): string {
    const known = this.#principals.get(principal)
    if (known !== undefined) return known
    const kept = this.#digest(['principal', principal]).toString('base64url')
    // When the cache is full it starts over.
    if (this.#principals.size >= mostPrincipals) this.#principals.clear()
    this.#principals.set(principal, kept)
    return kept
  }

  /**
   * The stored form of a deduplication key: the same for the same caller, and a hash that does not reveal the original.
   */
  keyOf(principal: string, tool: string, key: string): string {
    return this.#digest(['key', principal, tool, key]).toString('base64url')
  }

  /** The id of a task under a key. Unguessable and not repeated. */
  taskId(key: string, random: Uint8Array): string {
    const parts = ['task', key, Buffer.from(random).toString('base64url')]
    return this.#digest(parts).subarray(0, idBytes).toString('base64url')
  }

  #digest(parts: readonly string[]): Buffer {
    return createHmac('sha256', this.#secret).update(JSON.stringify(parts)).digest()
  }
}

async function readSecret({ store }: Processes): Promise<string | undefined> {
  const record = await store.getProcess(secretId)
  const metadata = record?.input.type === 'external' ? record.input.metadata : undefined
  return v.is(secretSchema, metadata) ? metadata.secret : undefined
}
