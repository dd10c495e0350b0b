import { type } from 'arktype'
import { createRuntime, defineTask } from 'stateward'
import { z } from 'zod'

const ofZod = defineTask(
  'zod',
  { input: z.object({ count: z.coerce.number<string>() }), output: z.array(z.string()) },
  ({ count }) => ['x'.repeat(count)],
)
const ofArktype = defineTask(
  'arktype',
  { input: type({ topic: 'string' }), output: type('number') },
  ({ topic }) => topic.length,
)

declare function use(...values: readonly unknown[]): void

const { tasks } = await createRuntime({ tasks: { define: [ofZod, ofArktype] } })
const texts: string[] = await (await tasks.submit(ofZod, { count: '3' })).result()
const length: number = await (await tasks.submit(ofArktype, { topic: 'cranes' })).result()
use(texts, length)
// @ts-expect-error a count is text before it is read
await tasks.submit(ofZod, { count: 3 })
// @ts-expect-error a topic is text
await tasks.submit(ofArktype, { topic: 5 })
