/** A worker in a process of its own; `PORT`, `INGRESS`, `EFFECTS` and `DIST` say where. What its steps do is a line in a file. */
import { appendFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'

const { DIST, PORT, INGRESS, EFFECTS } = process.env
const { defineProcess } = await import(pathToFileURL(join(DIST, 'src/processes/public.js')).href)
const { defineOperation, serveRestate } = await import(pathToFileURL(join(DIST, 'src/restate/index.js')).href)

const note = (line) => appendFileSync(EFFECTS, `${line}\n`)

const doing = (id, ms, context) =>
  context.step('work', async ({ signal, fencingToken = context.fencingToken }) => {
    note(`${id} start ${fencingToken} ${process.pid}`)
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
    })
    note(`${id} ${signal.aborted ? 'stop' : 'end'} ${fencingToken} ${process.pid}`)
    return `worker ${process.pid}`
  })

const work = (ms, context) => doing(context.processId, ms, context)
const operation = (ms, context) => doing(context.id, ms, context)
const definitions = [
  defineProcess('work', { disposition: 'rerunnable' }, work),
  defineProcess('bound', { disposition: 'owner_bound' }, work),
  defineOperation('work', { disposition: 'rerunnable' }, operation),
  defineOperation('bound', { disposition: 'owner_bound' }, operation),
  defineProcess('quick', { disposition: 'rerunnable' }, (input, { step }) => step('work', () => input)),
]
const worker = await serveRestate({ definitions, ingress: INGRESS, port: Number(PORT) })
process.stdout.write(`${worker.port}\n`)
