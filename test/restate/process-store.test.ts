import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectRestate, registerRestate, serveRestate } from '../../src/restate/index.js'
import { processStoreConformance } from '../../src/testing/process-store-conformance.js'
import type { ProcessStoreFixture } from '../../src/testing/processes/fixture.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { Resources } from './support/resources.js'
import { startRestateServer } from './support/server.js'

/** What the suite asks for and processes on the engine do not do, with the reason: the same table stands in docs/restate.md. */
const cannot: Readonly<Record<string, string>> = {}

const resources = new Resources()
const clock = new SimulatedClock()
let ingress: string

beforeAll(async () => {
  const server = resources.use(await startRestateServer())
  ingress = server.ingress
  const worker = resources.use(await serveRestate({ definitions: [], ingress, clock }))
  await registerRestate({ admin: server.admin, uri: worker.uri })
})
afterAll(resources.close)

async function createFixture(): Promise<ProcessStoreFixture> {
  const owner = randomUUID()
  const dead = new Set<string>()
  const isHolderDead = ({ leaseToken }: { readonly leaseToken: string }): boolean => dead.has(leaseToken)
  const open = () => connectRestate({ ingress }).processes(owner).store({ isHolderDead })
  return {
    store: open(),
    advance: (milliseconds) => clock.advance(milliseconds),
    declareDead: ({ leaseToken }) => void dead.add(leaseToken),
    // Another client on the same processes: nothing of them was in the one before.
    reopen: async () => open(),
  }
}

const asked: string[] = []

const defined = (name: string, run: () => Promise<void>): void => {
  asked.push(name)
  // oxlint-disable-next-line vitest/no-conditional-tests, vitest/valid-title, vitest/expect-expect -- tests of the suite
  if (!(name in cannot)) it(name, run)
  // oxlint-disable-next-line vitest/no-conditional-tests, vitest/valid-title -- what passes must not stay in the table
  else it(`cannot: ${name}`, () => expect(run()).rejects.toThrow())
}

processStoreConformance({ describe, it: defined }, 'processes on Restate (R-15)', createFixture)

it('passes the whole suite but for what is listed here with its reason', () => {
  expect(asked.length).toBeGreaterThan(50)
  expect(asked.filter((name) => name in cannot)).toEqual(Object.keys(cannot))
})
