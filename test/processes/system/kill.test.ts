import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { hasVariable, listProcesses } from '../../../src/base/process-status.js'
import type { AwaitOutput } from '../../../src/processes/index.js'
import { systemProcess } from '../../../src/processes/system/system-process.js'
import { compileChild, type CompiledChild } from '../../journal/support/compiled-child.js'
import { isLong, timeout } from '../../journal/support/long.js'
import { buildLibrary } from '../../support/build.js'

const kills = isLong ? 500 : 20
/** Of ours, so that nothing else is counted; in the environment of owners and all that they start. */
const variable = 'STATEWARD_TEST_SYSTEM'

let owner: CompiledChild
let supervisor: string
let directory: string

beforeAll(async () => {
  supervisor = join(await buildLibrary(), 'src/work/children/supervisor.js')
  owner = await compileChild('system-owner', 'test/processes/support')
  directory = await mkdtemp(join(tmpdir(), 'stateward-system-kill-'))
  process.env[variable] = directory
}, 120_000)
afterAll(async () => {
  delete process.env[variable]
  await owner.remove()
  await rm(directory, { recursive: true })
})

interface Row {
  readonly id: string
  readonly outcome?: AwaitOutput
  readonly types: readonly string[]
}

/** Two that leave a trace of their beginning and a daemon, and end with a code of their own once they are let go. */
function registrationsOf(round: number) {
  return (['adopt', 'reap'] as const).map((recover) => {
    const id = `${recover}-${round}`
    const script = `echo ${id} >>begun; setsid sleep 600 & while [ ! -e go-${round} ]; do sleep 0.02; done; exit 9`
    return systemProcess({ id, command: 'sh', args: ['-c', script], cwd: directory, recover })
  })
}

async function begun(): Promise<string[]> {
  return (await readFile(join(directory, 'begun'), 'utf8').catch(() => '')).split('\n')
}

/** Kills an owner some time after it is ready; in every other round that time begins with both of its programs. */
async function killSoon(child: ChildProcess, round: number): Promise<void> {
  const exited = once(child, 'exit')
  if (child.stdout === null) throw new TypeError('no output')
  for await (const line of createInterface(child.stdout)) if (line === 'ready') break
  if (round % 2 === 1) {
    const both = (lines: readonly string[]): boolean => lines.filter((line) => line.endsWith(`-${round}`)).length === 2
    await expect.poll(async () => both(await begun()), { interval: 5, timeout: 30_000 }).toBe(true)
  }
  await new Promise((resolve) => setTimeout(resolve, (round * 7919) % 400))
  child.kill('SIGKILL')
  await exited
}

/** An owner that does what is left to do, and says how everything stands. */
async function finish(round: number): Promise<Row[]> {
  const child = owner.start(directory, supervisor)
  if (child.stdout === null) throw new TypeError('no output')
  const lines: string[] = []
  for await (const line of createInterface(child.stdout)) {
    lines.push(line)
    if (line === 'driven') await writeFile(join(directory, `go-${round}`), '')
  }
  expect(lines.at(-1)).toBe('end')
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Row)
}

/** Processes of ours that run, owners left out. */
function leftRunning(): number[] {
  return listProcesses()
    .map(({ pid }) => pid)
    .filter((pid) => pid !== process.pid && hasVariable(pid, variable, directory))
}

it(
  `leaves no orphan, and adopts what may be adopted, however its owner is killed: ${kills} times [P-223]`,
  async () => {
    const counts = { adopted: 0, abandoned: 0 }
    for (let round = 0; round < kills; round += 1) {
      const child = owner.start(directory, supervisor, JSON.stringify(registrationsOf(round)))
      await killSoon(child, round)
      const rows = (await finish(round)).filter(({ id }) => id.endsWith(`-${round}`))
      expect(leftRunning()).toEqual([])
      const lines = await begun()
      for (const { id, outcome, types } of rows) {
        const times = lines.filter((line) => line === id).length
        expect([id, times]).toEqual([id, Math.min(times, 1)])
        if (types.includes('process.adopted')) counts.adopted += 1
        if (outcome?.type === 'abandoned') counts.abandoned += 1
        // What has begun and may go on comes to its own end; what has not begun was never there.
        const isOwnEnd = outcome?.type === 'failure' && outcome.code === 'exit_code'
        if (id.startsWith('adopt')) expect([id, isOwnEnd, outcome]).toEqual([id, times === 1, outcome])
        else expect([id, isOwnEnd || outcome?.type === 'abandoned', outcome]).toEqual([id, true, outcome])
      }
    }
    // Those of every other round, at least: both of its programs had begun.
    expect(counts.abandoned).toBeGreaterThanOrEqual(kills / 2)
    expect(counts.adopted).toBeGreaterThanOrEqual(kills / 2)
  },
  timeout,
)
