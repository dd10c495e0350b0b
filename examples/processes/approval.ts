/**
 * A sub-agent that writes a draft and waits for a person to approve it, however long that takes and however often the
 * service is restarted meanwhile. Each start of this program is a restart.
 *
 *     npm run example:approval                   starts the agent, which drafts and asks
 *     npm run example:approval                   continues where it was: nothing is drafted again
 *     npm run example:approval -- yes            a person approves, and the agent publishes
 */
import { createRuntime, defineProcess } from 'stateward'
import * as v from 'valibot'

const [answer, dataDir = '.stateward/approval'] = process.argv.slice(2)

const agent = defineProcess(
  'writer',
  {
    input: v.object({ topic: v.string() }),
    output: v.string(),
    events: { asked: v.string() },
    signals: { approval: v.object({ approved: v.boolean() }) },
    disposition: 'rerunnable',
  },
  async ({ topic }, { step, emit, waitFor }) => {
    const draft = await step('draft', () => {
      console.log('drafting')
      return `All about ${topic}`
    })
    await emit('asked', `May "${draft}" be published?`)
    const { approved } = await waitFor('approval')
    return approved ? step('publish', () => `https://example.com/${topic}`) : 'withdrawn'
  },
)

await using runtime = await createRuntime({ dataDir, processes: { define: [agent] } })
const handle = await runtime.processes.start(agent, { topic: 'cranes' }, { id: 'article-1' })

for await (const { eventType, payload } of handle.events()) {
  if (eventType !== 'asked') continue
  console.log(payload)
  break
}

const { status } = await handle.status()
if (status === 'running' && !answer) console.log('waiting for a person')
else {
  // If a person clicks twice, the common id makes it one answer.
  if (status === 'running') await handle.signal('approval', { approved: answer === 'yes' }, { id: 'click' })
  console.log(await handle.result())
}
