/**
 * Two workers behind one address, on a Restate server. One of them is killed while it works, and the other one takes
 * over; a client follows the feed of the session throughout.
 *
 *     npm run example:restate
 *
 * A Restate server must be running at RESTATE_INGRESS (default http://127.0.0.1:8080) and RESTATE_ADMIN (default
 * http://127.0.0.1:9070). Start it with `disable-telemetry = true`.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connectRestate, defineOperation, registerRestate, serveRestate } from 'stateward/restate'
import * as v from 'valibot'
import { startBalancer } from './balancer.js'

const ingress = process.env['RESTATE_INGRESS'] ?? 'http://127.0.0.1:8080'
const admin = process.env['RESTATE_ADMIN'] ?? 'http://127.0.0.1:9070'
/** A worker gets its name as an argument; without one this program is the client, which starts the workers. */
const name = process.argv[2]

// #region shown
const chapter = defineOperation(
  'chapter',
  { input: v.object({ title: v.string() }), output: v.string(), disposition: 'rerunnable' },
  async ({ title }, { step, sleep }) => {
    const outline = await step('outline', () => `${title}, outlined by ${name ?? 'nobody'}`)
    await sleep(500)
    return step('text', async () => {
      await new Promise((resolve) => setTimeout(resolve, 500))
      return `${outline}, written by ${name ?? 'nobody'}`
    })
  },
)
// #endregion

async function startWorker(worker: string): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = fork(process.argv[1] ?? '', [worker])
  const [port] = (await once(child, 'message')) as [number]
  return { child, port }
}

async function demonstrate(): Promise<void> {
  const workers = await Promise.all([startWorker('one'), startWorker('two')])
  await using balancer = await startBalancer(workers.map(({ port }) => port))
  await registerRestate({ admin, uri: balancer.uri })
  const session = connectRestate({ ingress, admin }).session(randomUUID())
  const titles = ['cranes', 'herons', 'storks', 'ibises', 'egrets', 'spoonbills']
  for (const title of titles) await session.run(chapter, { title }, { displayName: title })
  const more = ['bitterns', 'shoebills']
  let ends = 0
  for await (const { seq, outcome } of session.feed.entries()) {
    console.log(seq, outcome.type === 'completed' ? outcome.result.content : outcome.type)
    ends += 1
    if (ends === titles.length + more.length) break
    if (ends > 1) continue
    workers[0].child.kill('SIGKILL')
    console.log('worker one is killed')
    for (const title of more) await session.run(chapter, { title }, { displayName: title })
  }
  console.log(`${ends} chapters, none missing, none twice`)
  workers[1].child.kill('SIGTERM')
}

if (name === undefined) await demonstrate()
else {
  const worker = await serveRestate({ definitions: [chapter], ingress })
  process.send?.(worker.port)
  process.once('SIGTERM', () => {
    process.disconnect?.()
    void worker.close()
  })
}
