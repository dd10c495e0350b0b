import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { areBinariesAtHand, fetchNode, versions } from './support/binaries.js'
import { type Consumer, createConsumer } from './support/consumer.js'

let consumer: Consumer

describe.skipIf(!areBinariesAtHand)('the package as it is published', () => {
  beforeAll(async () => {
    consumer = await createConsumer()
  }, 180_000)
  afterAll(() => consumer[Symbol.asyncDispose]())

  it('takes 22 MB at most, with everything it needs', async () => {
    expect(await consumer.installedBytes()).toBeLessThan(22e6)
  })

  for (const version of versions) {
    describe(`on Node ${version}`, () => {
      let node: string

      beforeAll(async () => {
        node = await fetchNode(version)
      }, 180_000)

      it('is the Node it says', async () => {
        expect(await consumer.run(node, '--version')).toBe(`v${version}\n`)
      })

      it('loads every entry point that needs nothing else', async () => {
        const entries = await entryPoints()
        await writeFile(
          join(consumer.place, 'load.mjs'),
          `for (const entry of ${JSON.stringify(entries)}) console.log(entry, Object.keys(await import(entry)).length > 0)`,
        )
        expect(await consumer.run(node, 'load.mjs')).toBe(entries.map((entry) => `${entry} true\n`).join(''))
      })

      it('goes through the page that a newcomer reads first, from a new folder to a task that was killed', async () => {
        const place = join(consumer.place, `started-${version}`)
        await mkdir(place)
        const [program, first = '', second = ''] = await gettingStarted()
        await writeFile(join(place, 'report.mjs'), program)
        const killed = await consumer.shell(node, place, first)
        const resumed = await consumer.shell(node, place, second)
        expect(resumed.at(-1)).toBe("[ 'history: 3 pages', 'method: 3 pages', 'results: 3 pages' ]")
        const writing = ['history', 'method', 'results'].map((part) => `writing the ${part} of cranes`)
        expect(killed).toEqual(writing.slice(0, killed.length))
        // However far it came: what was done is not done again; the step under way is, unless it had just ended.
        const rest = [writing.slice(Math.max(0, killed.length - 1)), writing.slice(killed.length)]
        expect(rest).toContainEqual(resumed.slice(0, -1))
      })

      it('ends a plan of tools from the command line', async () => {
        const plan = { name: 'smoke', tools: [{ name: 'hello', command: 'node', args: ['-e', 'console.log(1 + 1)'] }] }
        await writeFile(join(consumer.place, 'plan.json'), JSON.stringify(plan))
        const command = 'node_modules/stateward/dist/src/cli/main.js'
        const printed = await consumer.run(node, command, 'run', 'plan.json', '--data-dir', `plan-${version}`)
        expect(printed).toContain('1 of 1 tool ended as the plan expects')
      })

      it('takes up a task where kill -9 ended its process', async () => {
        const program = join(consumer.place, 'interrupted.mjs')
        await writeFile(program, interrupted)
        const dataDir = `interrupted-${version}`
        await expect(consumer.run(node, program, dataDir, 'kill')).rejects.toMatchObject({ signal: 'SIGKILL' })
        expect(await consumer.run(node, program, dataDir, 'finish')).toBe('completed\n')
      })
    })
  }
})

/** The program of `docs/getting-started.md` as it is installed, and the two lines that start and kill it. */
async function gettingStarted(): Promise<readonly [program: string, ...lines: string[]]> {
  const page = await readFile(join(consumer.place, 'node_modules/stateward/docs/getting-started.md'), 'utf8')
  const [, program = ''] = /```js\n([^]*?)```/.exec(page) ?? []
  const [, lines = ''] = /```sh\n(node report[^]*?)\n```/.exec(page) ?? []
  return [program, ...lines.split('\n')]
}

/** The entry points of the package, without those of optional peers. */
async function entryPoints(): Promise<readonly string[]> {
  const path = join(consumer.place, 'node_modules/stateward/package.json')
  const { exports } = JSON.parse(await readFile(path, 'utf8')) as { exports: Record<string, unknown> }
  return Object.keys(exports)
    .filter((name) => !name.endsWith('.json') && !['./inspect', './mcp', './mcp/v1', './restate'].includes(name))
    .map((name) => name.replace('.', 'stateward'))
}

const interrupted = `
import { createRuntime } from 'stateward'
const [, , dataDir, what] = process.argv
const runtime = await createRuntime({ dataDir })
const { tasks } = runtime
tasks.handle('work', async () => {
  if (what === 'kill') process.kill(process.pid, 'SIGKILL')
})
const id = '0195e0a0-0000-7000-8000-000000000001'
if (what === 'kill') await tasks.submit({ kind: 'work', id, constraints: { maxAttempts: 2 } })
const { status } = await tasks.outcome(id)
console.log(status)
await runtime.close()
`
