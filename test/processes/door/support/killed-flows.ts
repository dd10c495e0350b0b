/**
 * A service whose processes do steps, ask, call and sleep until they are done or the service is killed: `killed-flows.js
 * DIRECTORY NOTES SEED MORTAL WAVE`. It notes in the file NOTES, one JSON object per line, each step that it does, each that
 * is durable, and each signal that is. It says `note` for every note, and `done` when every process has ended. The seed
 * decides, if MORTAL is 1, whether and where it kills itself within a file operation.
 */
import { appendFileSync, writeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as v from 'valibot'
import { createDirectoryJournal } from '../../../../src/journal/directory-journal.js'
import { defineProcess, type ProcessRunContext } from '../../../../src/processes/public.js'
import { createRuntime } from '../../../../src/runtime.js'
import { createDice, mortalFileSystem } from '../../../journal/support/mortal-file-system.js'

const [directory = '', notes = '', seed = '0', mortal = '0', wave = '0'] = process.argv.slice(2)
const upTo = createDice(Number(seed))
const writes = mortal === '1' && upTo(2) === 0 ? 3 + upTo(120) : Number.POSITIVE_INFINITY

/** What has been noted survives a kill: the file is the system's. */
function note(what: string, processId: string, key: string, value?: unknown): void {
  appendFileSync(notes, `${JSON.stringify({ what, processId, key, value })}\n`)
  writeSync(1, 'note\n')
}

/** A step that is noted when it is done, and when that is durable. */
async function noted(
  { step, processId }: Pick<ProcessRunContext, 'step' | 'processId'>,
  name: string,
): Promise<number> {
  const result = await step(name, async () => {
    note('do', processId, name)
    await nextTurn()
    return upTo(1000)
  })
  note('done', processId, name, result)
  return result
}

const rerunnable = { disposition: 'rerunnable' } as const

const leaf = defineProcess('leaf', rerunnable, async (number: number, context) => {
  const drawn = await noted(context, 'leaf')
  await context.sleep(upTo(5))
  return { number, drawn }
})

const flow = defineProcess(
  'flow',
  { ...rerunnable, events: { begun: v.number() }, signals: { go: v.number() } },
  async (_: unknown, context) => {
    const { waitFor, call, emit, sleep } = context
    const first = await noted(context, 'first')
    await emit('begun', first)
    const [answer, parts] = await Promise.all([
      waitFor('go'),
      Promise.all([1, 2, 2].map((number) => call(leaf, number))),
      sleep(upTo(20)),
      noted(context, 'beside'),
    ])
    const last = await noted(context, 'last')
    const alone = await waitFor('go')
    return { first, last, answer, alone, parts }
  },
)

const fileSystem = mortalFileSystem(writes, upTo)
const store = createDirectoryJournal({ directory, fileSystem, segmentBytes: 64 * 1024 })
const runtime = await createRuntime({ store, compactAfter: 200, processes: { concurrency: 2, define: [leaf, flow] } })
const { processes } = runtime

/** Starts a flow and sends it two signals, however often that was done before. */
async function drive(id: string): Promise<unknown> {
  const handle = await processes.start(flow, null, { id })
  for (const [order, value] of [10, 20].entries()) {
    for (let pause = upTo(40); pause > 0; pause -= 1) await nextTurn()
    if ((await handle.status()).status !== 'running') break
    await handle.signal('go', value, { id: String(order) })
  }
  return handle.result()
}

await Promise.all([0, 1, 2, 3].map((number) => drive(`${wave}-${number}`)))
await runtime.close()
writeSync(1, 'done\n')
