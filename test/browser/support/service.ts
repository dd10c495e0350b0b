import { createRuntime, defineDaemon, defineProcess, defineTask, type Runtime, type RuntimeOptions } from 'stateward'
import { parseNodeId } from 'stateward/node'
import * as v from 'valibot'
import { onTestFinished } from 'vitest'

const anything = v.unknown()

/** Something that a test lets go on. */
export class Gate {
  readonly opened: Promise<void>
  #open = (): void => {}

  constructor() {
    this.opened = new Promise((resolve) => (this.#open = resolve))
  }

  open(): void {
    this.#open()
  }
}

/** A runtime with work of every kind in it, which waits until a gate is opened. */
export interface Service {
  readonly runtime: Runtime
  readonly url: string
  readonly gate: Gate
}

/** `hasNode`: with a node that runs a daemon. */
export async function openService(inspect: RuntimeOptions['inspect'] = true, hasNode = false): Promise<Service> {
  const gate = new Gate()
  const section = defineTask('section', {}, () => 'written')
  const report = defineTask('report', {}, async (_: unknown, context) => {
    const answer = await context.waitFor('approval')
    return { answer, part: await context.call(section, { topic: 'cranes' }) }
  })
  const broken = defineTask('broken', {}, () => {
    throw new Error('<img src=x onerror=alert(1)>')
  })
  const review = defineProcess(
    'review',
    { disposition: 'rerunnable', signals: { verdict: anything } },
    (_: unknown, context) => context.waitFor('verdict'),
  )
  const indexer = defineDaemon('indexer', async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  })
  const runtime = await createRuntime({
    inspect,
    tasks: { define: [report, section, broken] },
    processes: { define: [review] },
    ...(hasNode && { node: { thisNode: parseNodeId('00000000000000a1'), daemons: [indexer] } }),
  })
  if (hasNode) await runtime.node.runDaemon(indexer)
  onTestFinished(() => runtime.close({ policy: 'terminate' }))
  const session = runtime.session('agent-1', { maxConcurrent: 8, whenFull: 'queue' })
  const running = ['fetch docs', 'list files', 'read <b>notes</b>'].map((name) =>
    session.run(name, async ({ progress }) => {
      progress('half of it', 0.5)
      await gate.opened
      return name
    }),
  )
  void session.all(running).catch(() => {})
  const failed = session.run('break', () => {
    throw new Error('out of paper')
  })
  await failed.outcome
  await runtime.tasks.submit(report, { topic: 'cranes' }, { key: 'order-42', budgets: { token: 5000 } })
  await runtime.tasks.submit(broken, {})
  const daily = { type: 'cron', expression: '0 6 * * *' } as const
  await runtime.tasks.submit(section, {}, { key: 'daily', runPolicy: daily })
  await runtime.processes.start(review, {}, { id: 'review-1' })
  if (runtime.inspectorUrl === undefined) throw new Error('the inspector is not served')
  return { runtime, url: runtime.inspectorUrl, gate }
}
