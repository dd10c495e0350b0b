import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as v from 'valibot'
import { defineProcess } from '../../src/processes/public.js'
import { connectRestate, registerRestate, serveRestate } from '../../src/restate/index.js'
import { Resources } from './support/resources.js'
import { startRestateServer, type RestateServer } from './support/server.js'

/** Connections that are silent die after 300 seconds: this takes longer than all other tests together. */
const isLong = process.env['STATEWARD_LONG'] !== undefined
const silentMs = 330_000

const resources = new Resources()
let server: RestateServer

const held = defineProcess(
  'held',
  { disposition: 'rerunnable', signals: { go: v.number() } },
  (_: unknown, { waitFor }) => waitFor('go'),
)

beforeAll(async () => {
  if (!isLong) return
  server = resources.use(await startRestateServer())
  const worker = resources.use(await serveRestate({ definitions: [held], ingress: server.ingress }))
  await registerRestate({ admin: server.admin, uri: worker.uri })
})
afterAll(resources.close)

it.runIf(isLong)(
  'a wait and a feed outlive real silence: by the ceiling, and by the connection that dies (R-6)',
  async () => {
    const { ingress } = server
    const session = connectRestate({ ingress }).processes(randomUUID())
    const { id } = await session.start(held, undefined)
    // The one asks anew before the connection dies, the other one once it has died.
    const waits = [{}, { attachCeilingMs: 3_600_000 }].map((options) =>
      connectRestate({ ingress, ...options }).attach.awaitTerminal(id),
    )
    const follower = session.follow()
    const next = follower.next()
    await new Promise((resolve) => setTimeout(resolve, silentMs))
    await session.signal(id, 'go', 7)
    const output = { type: 'success', value: 7 }
    expect(await Promise.all(waits)).toEqual([output, output])
    expect((await next).value).toMatchObject({ seq: 1, processId: id, output })
    await follower.return()
  },
  silentMs + 60_000,
)
