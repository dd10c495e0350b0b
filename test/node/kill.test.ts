import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { isPidInUse } from '../../src/base/process-status.js'
import { buildLibrary } from '../support/build.js'
import { MortalService } from '../support/mortal-service.js'

const kills = process.env['STATEWARD_LONG'] === undefined ? 8 : 400

type Note =
  | {
      readonly type: 'opened'
      readonly epoch: string
      readonly audited: readonly (readonly [number, string, number])[]
    }
  | { readonly type: 'submitted'; readonly epoch: string; readonly seq: number }

let service: MortalService<Note>
beforeAll(async () => {
  service = await MortalService.compile<Note>('mortal-node', 'test/node/support')
}, 60_000)
afterAll(() => service.remove())

it(`[N-490] a node that is killed ${kills} times has lost nothing of its audit that it has answered for`, {
  timeout: 600_000,
}, async () => {
  for (let wave = 0; wave < kills; wave += 1) await service.liveOnce({ seed: wave + 1, wave, isMortal: true })
  await service.liveOnce({ seed: 0, wave: kills, isMortal: false })
  const notes = await service.notes()
  const last = notes.findLast((note) => note.type === 'opened')
  const audited = last?.type === 'opened' ? last.audited : []
  // The chain's own numbers only grow; those of each epoch have no gap.
  expect(audited.map(([seq]) => seq)).toEqual(audited.map(([seq]) => seq).toSorted((one, other) => one - other))
  const byEpoch = new Map<string, number[]>()
  for (const [, epoch, seq] of audited) byEpoch.set(epoch, [...(byEpoch.get(epoch) ?? []), seq])
  for (const seqs of byEpoch.values()) expect(seqs).toEqual(seqs.map((_, index) => index + 1))
  // Whatever was answered for in an earlier life stands in the chain, once.
  const opened = notes.lastIndexOf(last as Note)
  const answered = notes
    .slice(0, opened)
    .flatMap((note) => (note.type === 'submitted' ? [`${note.epoch} ${note.seq}`] : []))
  const kept = new Set(audited.map(([, epoch, seq]) => `${epoch} ${seq}`))
  expect(answered.filter((record) => !kept.has(record))).toEqual([])
  expect(new Set(answered).size).toBe(answered.length)
  expect(answered.length).toBeGreaterThan(kills / 4)
})

/** What a program says, line by line. */
async function* linesOf(child: ChildProcess): AsyncGenerator {
  if (child.stdout === null) return
  for await (const line of createInterface(child.stdout)) yield JSON.parse(line)
}

it('[N-491] 14.4: killed while frozen, draining and with a living daemon: still frozen, still draining, one copy', {
  timeout: 120_000,
}, async () => {
  const library = await buildLibrary()
  const directory = mkdtempSync(join(tmpdir(), 'stateward-node-'))
  const copies = join(directory, 'copies')
  const program = join(directory, 'node.mjs')
  const url = (path: string): string => JSON.stringify(pathToFileURL(join(library, path)).href)
  const daemon = `require('node:fs').appendFileSync(${JSON.stringify(copies)}, process.pid + '\\n'); setInterval(() => {}, 1000)`
  writeFileSync(
    program,
    `import { createRuntime, defineDaemon, SystemDaemon } from ${url('src/index.js')}
import { existsSync, watch } from 'node:fs'
import { dirname } from 'node:path'
const copies = ${JSON.stringify(copies)}
const say = (what) => process.stdout.write(JSON.stringify(what) + '\\n')
const thisNode = '00000000000000a1'
const sleeper = defineDaemon('sleeper', new SystemDaemon({ command: process.execPath, args: ['-e', ${JSON.stringify(daemon)}] }))
const runtime = await createRuntime({
  dataDir: ${JSON.stringify(join(directory, 'data'))},
  processes: { systemDirectory: ${JSON.stringify(join(directory, 'system'))} },
  node: { thisNode, tickIntervalMs: 200, daemons: [sleeper] },
})
const { node } = runtime
const view = () => node.reader.read()
const until = async (isSo) => {
  for (let seen = node.reader.generation; !isSo(); seen = await node.reader.changed(seen));
}
const tell = () => say({
  isFrozen: view().freezeRemainingMs !== undefined,
  maintenance: view().localMaintenance.status,
  daemon: view().daemons.get(sleeper.daemon.id)?.lifecycle,
  jobs: runtime.jobs.list().filter(({ room }) => room === 'node').length,
})
if (process.argv[2] === 'first') {
  await node.runDaemon(sleeper)
  await until(() => view().daemons.get(sleeper.daemon.id)?.lifecycle === 'running')
  const watcher = watch(dirname(copies))
  await new Promise((resolve) => {
    const look = () => existsSync(copies) && resolve()
    watcher.on('change', look)
    look()
  })
  watcher.close()
  const asked = [{ type: 'enter_maintenance', node: thisNode }, { type: 'freeze_cluster', ttlMs: 600000 }]
  await Promise.all(asked.map((event) => node.submit({ type: 'admin_event', event })))
  tell()
} else {
  tell()
  const { pass } = view()
  await new Promise((resolve) => {
    const following = node.onSnapshot((snapshot) => {
      if (snapshot.pass < pass + 2) return
      following[Symbol.dispose]()
      resolve()
    })
  })
  tell()
  await node.submit({ type: 'admin_event', event: { type: 'thaw_cluster' } })
  await until(() => view().localMaintenance.status === 'maintenance')
  tell()
  await runtime.close()
}
`,
  )
  try {
    const first = spawn(process.execPath, [program, 'first'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const said = await linesOf(first).next()
    expect(said.value).toMatchObject({ jobs: 1 })
    first.kill('SIGKILL')
    await once(first, 'close')
    const [pid] = readFileSync(copies, 'utf8').split('\n').map(Number)
    expect(isPidInUse(pid as number)).toBe(true)

    const second = spawn(process.execPath, [program, 'second'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const states: unknown[] = []
    for await (const state of linesOf(second)) states.push(state)
    const frozen = { isFrozen: true, maintenance: 'entering_maintenance', daemon: 'running', jobs: 1 }
    expect(states).toEqual([
      frozen,
      frozen,
      // Once it is thawed, the drain goes on: the daemon is ended.
      { isFrozen: false, maintenance: 'maintenance', daemon: 'stopped', jobs: 0 },
    ])
    expect(readFileSync(copies, 'utf8').trim().split('\n')).toHaveLength(1)
    expect(isPidInUse(pid as number)).toBe(false)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
