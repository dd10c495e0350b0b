import { afterAll, beforeAll, describe, it } from 'vitest'
import { durableConformance } from '../../../src/testing/durable-conformance.js'
import { createProcessDurable } from '../door/support/process-durable.js'
import { PostgresFixtures } from '../support/postgres-fixture.js'

let fixtures: PostgresFixtures

beforeAll(async () => {
  fixtures = await PostgresFixtures.start()
})

afterAll(() => fixtures?.[Symbol.asyncDispose]())

durableConformance({ describe, it }, 'processes on PostgreSQL', async () => {
  const { store, advance, declareDead, dispose } = await fixtures.create()
  return createProcessDurable({
    async open() {
      for (const { id } of await store.listNonTerminal()) {
        const lease = await store.getLease(id)
        if (lease !== undefined) declareDead(lease)
      }
      return store
    },
    advance,
    dispose: async () => dispose?.(),
  })
})
