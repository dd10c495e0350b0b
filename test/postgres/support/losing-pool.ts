import pg from 'pg'
import type { PgClient, PgPool, PgQuery } from '../../../src/postgres/client.js'

/** A real pool whose connections break on command. */
export interface LosingPool {
  readonly pool: PgPool
  /** The next commit breaks its connection: before the server hears of it, or before its answer arrives. */
  lose(when: 'before' | 'after'): void
  /** For each connection that was given back, whether it was to be ended. */
  readonly released: readonly boolean[]
}

/** What commits: a transaction, or a single statement that changes rows. */
const commits = /^\s*(COMMIT|INSERT|UPDATE|DELETE|WITH)\b/

/** Makes one; end its pool when it is over. */
export function createLosingPool(url: string): LosingPool {
  const inner = new pg.Pool({ connectionString: url }) as unknown as PgPool
  // Between the databases that use it, nobody else listens to what becomes of its connections.
  inner.on('error', () => {})
  const released: boolean[] = []
  let losing: 'before' | 'after' | undefined
  const proxies = new WeakMap<PgClient, PgClient>()
  const connect = async (): Promise<PgClient> => {
    const client = await inner.connect()
    const proxy = proxies.get(client) ?? proxyOf(client)
    proxies.set(client, proxy)
    return proxy
  }
  const proxyOf = (client: PgClient): PgClient => {
    let isInTransaction = false
    const query = async (asked: PgQuery): ReturnType<PgClient['query']> => {
      if (asked.text === 'BEGIN') isInTransaction = true
      else if (asked.text === 'ROLLBACK') isInTransaction = false
      const doesCommit = isInTransaction ? asked.text === 'COMMIT' : commits.test(asked.text)
      if (asked.text === 'COMMIT') isInTransaction = false
      if (losing === undefined || !doesCommit) return client.query(asked)
      const when = losing
      losing = undefined
      if (when === 'after') await client.query(asked)
      throw new Error('Connection terminated unexpectedly')
    }
    return new Proxy(client, {
      get: (target, name) => {
        if (name === 'query') return query
        if (name === 'release') {
          return (destroy = false) => {
            released.push(destroy)
            client.release(destroy)
          }
        }
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  const pool: PgPool = {
    connect,
    end: () => inner.end(),
    on: inner.on.bind(inner),
    removeListener: (event, listener) => inner.removeListener(event, listener),
  }
  return {
    pool,
    released,
    lose: (when) => {
      losing = when
    },
  }
}
