import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createDeferred, type Deferred } from '../../src/base/promises.js'
import { PostgresDatabase, PostgresListener, sql } from '../../src/postgres/index.js'
import { isOtherServer, startPostgres, type PostgresServer } from '../support/postgres-server.js'

const send = sql('SELECT pg_notify($1, $2)')

/** Takes what arrives one by one. */
class Inbox {
  readonly #arrived: string[] = []
  #waiting: Deferred<string> | undefined

  readonly put = (message: string): void => {
    if (this.#waiting === undefined) this.#arrived.push(message)
    else this.#waiting.resolve(message)
    this.#waiting = undefined
  }

  take(): Promise<string> {
    const next = this.#arrived.shift()
    if (next !== undefined) return Promise.resolve(next)
    this.#waiting = createDeferred<string>()
    return this.#waiting.promise
  }
}

describe.skipIf(isOtherServer)('a listener', () => {
  let server: PostgresServer
  let database: PostgresDatabase
  let inbox: Inbox
  let listener: PostgresListener

  beforeAll(async () => {
    server = await startPostgres()
  })

  afterAll(() => server?.[Symbol.asyncDispose]())

  beforeEach(async () => {
    database = await PostgresDatabase.open({ url: server.url, retryMs: 10_000 })
    inbox = new Inbox()
    listener = new PostgresListener(database, {
      channel: 'changes',
      onMessage: inbox.put,
      onConnect: () => inbox.put('connected'),
    })
  })

  afterEach(async () => {
    await listener.close()
    await database.close()
  })

  it('ends when its database is closed, which does not wait for it', async () => {
    expect(await inbox.take()).toBe('connected')
    await database.close()
  })

  it('hears what is sent once it is connected, and nothing of other channels', async () => {
    expect(await inbox.take()).toBe('connected')
    await database.write(send, ['others', 'no'])
    await database.write(send, ['changes', 'one'])
    await database.transaction((transaction) => transaction.query(send, ['changes', 'two']))
    expect([await inbox.take(), await inbox.take()]).toEqual(['one', 'two'])
  })

  it('connects again after the server was killed, and says so', async () => {
    expect(await inbox.take()).toBe('connected')
    await server.kill()
    await server.start()
    expect(await inbox.take()).toBe('connected')
    await database.write(send, ['changes', 'after'])
    expect(await inbox.take()).toBe('after')
  })

  it('can be closed while there is no server', async () => {
    expect(await inbox.take()).toBe('connected')
    await server.stop()
    await expect(listener.close()).resolves.toBeUndefined()
    await server.start()
  })
})

describe.skipIf(isOtherServer)('a server that is killed', () => {
  it('is reported as unavailable, is waited for, and has lost nothing', async () => {
    await using server = await startPostgres()
    await using database = await PostgresDatabase.open({ url: server.url, retryMs: 10_000 })
    await using impatient = await PostgresDatabase.open({ url: server.url, retryMs: 0 })
    const count = sql('SELECT n FROM counter')
    await database.transaction((transaction) =>
      transaction.script('CREATE TABLE counter (n integer); INSERT INTO counter VALUES (0)'),
    )
    const counted = (): Promise<number> =>
      database.transaction(async (transaction) => {
        const { rows } = await transaction.query(sql('UPDATE counter SET n = n + 1 RETURNING n'))
        return rows[0]?.['n'] as number
      })
    expect(await counted()).toBe(1)
    await server.kill()
    await expect(impatient.read(count)).rejects.toMatchObject({ code: 'store.unavailable' })
    const waiting = counted()
    await server.start()
    expect(await waiting).toBe(2)
    expect((await impatient.read(count)).rows).toEqual([{ n: 2 }])
  })
})
