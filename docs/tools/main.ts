/**
 * `npm run docs` writes one page per exported machine to docs/charts; `npm run docs:check` writes
 * nothing and ends with 1 when a page differs from its machine, is missing, or has lost its machine.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StateMachine, type AnyStateMachine } from 'xstate'
import * as exported from '../../machines/index.js'
import { pageOf } from './page.js'

const folder = 'docs/charts'

function pages(): Map<string, string> {
  const values: readonly unknown[] = Object.values(exported)
  const machines = values.filter((value): value is AnyStateMachine => value instanceof StateMachine)
  machines.sort((one, other) => (one.id < other.id ? -1 : 1))
  const index = machines.map(
    ({ id, config }) => `- [${id}](${id}.md)${config.description ? `: ${config.description}` : ''}`,
  )
  return new Map([
    [
      'README.md',
      `# Charts\n\nEvery lifecycle of stateward is a statechart, exported from \`stateward/machines\`.\n\n${index.join('\n')}\n`,
    ],
    ...machines.map((machine): [string, string] => [`${machine.id}.md`, pageOf(machine)]),
  ])
}

async function readPages(): Promise<Map<string, string>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.md'))
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)),
  )
}

async function check(wanted: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): Promise<void> {
  const stale = [...new Set([...wanted.keys(), ...found.keys()])].filter((name) => wanted.get(name) !== found.get(name))
  if (stale.length === 0) return
  process.stderr.write(`out of date, run npm run docs: ${stale.map((name) => join(folder, name)).join(', ')}\n`)
  process.exitCode = 1
}

async function write(wanted: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): Promise<void> {
  for (const [name, text] of wanted) await writeFile(join(folder, name), text)
  for (const name of found.keys()) if (!wanted.has(name)) await rm(join(folder, name))
}

await mkdir(folder, { recursive: true })
const act = process.argv.includes('--check') ? check : write
await act(pages(), await readPages())
