/** A worker in a process of its own: `node worker.js INGRESS PORT`. Says its port, and when a step begins. */
import { defineProcess } from '../../src/processes/public.js'
import { defineOperation, serveRestate } from '../../src/restate/index.js'

const [ingress = '', port = '0'] = process.argv.slice(2)
const quick = defineProcess('quick', { disposition: 'rerunnable' }, (input: number, { step }) =>
  step('work', () => input),
)
const slow = defineProcess('slow', { disposition: 'rerunnable' }, (input: number, { step }) =>
  step('work', async () => {
    process.send?.({ began: input })
    await new Promise((resolve) => setTimeout(resolve, 400))
    return input
  }),
)
const operation = defineOperation('quick', { disposition: 'rerunnable' }, (input: number, { step }) =>
  step('work', () => input),
)
const worker = await serveRestate({ definitions: [quick, slow, operation], ingress, port: Number(port) })
process.send?.({ port: worker.port })
