import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, expect, it } from 'vitest'
import { connectRestate, defineOperation, registerRestate, serveRestate } from '../../src/restate/index.js'
import { buildLibrary } from '../support/build.js'
import { Resources } from './support/resources.js'
import { startRestateServer } from './support/server.js'

const resources = new Resources()
afterAll(resources.close)

const held = defineOperation('held', { disposition: 'rerunnable' }, (_: unknown, { waitFor }) => waitFor('go'))

/** Waits in every way that there is, closes the connection, and says by which codes the waits have ended. */
const program = `
const { connectRestate } = await import(process.env.ENTRY)
const restate = connectRestate({ ingress: process.env.INGRESS, admin: process.env.ADMIN })
const session = restate.session('s-1')
const rerunnable = { disposition: 'rerunnable' }
const handle = await session.run('held', 1, { ...rerunnable, signal: new AbortController().signal })
const next = (entries) => entries.next()
const waits = [
  handle.outcome,
  handle.result(),
  session.all([handle]),
  session.outcome(handle.id),
  session.feed.waitForAdvance(0),
  next(session.feed.entries()),
  next(restate.processes('p-1').follow()),
]
await session.feed.watermark()
restate.close()
const late = [session.run('held', 1, rerunnable), handle.cancel(), handle.outcome, restate.faults()]
for (const { status, reason } of await Promise.allSettled([...waits, ...late])) console.log(status, reason?.code)
`

it('a closed connection ends all that waits over it, and holds up no process (R-16)', async () => {
  const server = resources.use(await startRestateServer())
  const { ingress, admin } = server
  const worker = resources.use(await serveRestate({ definitions: [held], ingress }))
  await registerRestate({ admin, uri: worker.uri })
  const env = {
    ...process.env,
    ENTRY: join(await buildLibrary(), 'src/restate/index.js'),
    INGRESS: ingress,
    ADMIN: admin,
  }
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { env })
  const [out, error, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  expect(error).toBe('')
  expect(out.trim().split('\n')).toEqual(Array.from({ length: 11 }, () => 'rejected restate.connection_closed'))
  expect(code).toBe(0)

  // What runs goes on: another connection finds it.
  await using other = connectRestate({ ingress })
  expect(await other.session('s-1').operations.activeCount()).toBe(1)
})
