import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { systemClock } from '../../../src/base/clock.js'
import { parseAdminCommand } from '../../../src/cli/admin/command.js'
import { runAdminCommand } from '../../../src/cli/admin/run.js'
import { buildLibrary } from '../../support/build.js'
import { node } from './support/operators.js'

let directory: string
const children: ChildProcess[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'stateward-admin-kill-'))
})
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child)
  rmSync(directory, { recursive: true, force: true })
})

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

it('[N-314] a node that is killed has forgotten no commit and no rest that it has answered for, and its socket is replaced', {
  timeout: 120_000,
}, async () => {
  const library = await buildLibrary()
  const path = (name: string): string => join(directory, name)
  const socket = path('run/admin.sock')
  /** The command line, here. */
  const admin = async (...args: readonly string[]): Promise<string> => {
    let text = ''
    const command = parseAdminCommand(args)
    if (command === undefined) throw new Error('it asks for help')
    await runAdminCommand(command, { output: { write: (part) => void (text += part) }, clock: systemClock })
    return text
  }
  /** The command line, as it is published. */
  const published = (...args: readonly string[]): Promise<{ readonly code: number; readonly text: string }> =>
    new Promise((resolve) => {
      execFile(process.execPath, [join(library, 'src/cli/main.js'), 'admin', ...args], (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, text: stdout + stderr })
      })
    })
  const url = (name: string): string => JSON.stringify(pathToFileURL(join(library, name)).href)
  writeFileSync(
    path('node.mjs'),
    `import { createRuntime } from ${url('src/index.js')}
import { AdminVerifier, readOperatorsFile } from ${url('src/node/public.js')}
const verifier = new AdminVerifier(await readOperatorsFile(${JSON.stringify(path('operators.json'))}))
await createRuntime({
  dataDir: ${JSON.stringify(path('data'))},
  node: { thisNode: '${node(161)}', tickIntervalMs: 20, verifier, adminSocket: ${JSON.stringify(socket)} },
})
process.stdout.write('ready')
`,
  )
  const start = async (): Promise<ChildProcess> => {
    const child = spawn(process.execPath, [path('node.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(child)
    await once(child.stdout, 'data')
    return child
  }

  const made = await admin('keygen', path('key.json'))
  const [, publicKey] = /public key {2}([0-9a-f]{64})/.exec(made) ?? []
  const operators = { type: 'stateward_operators', version: 1, operators: [{ public_key: publicKey }] }
  writeFileSync(path('operators.json'), JSON.stringify(operators), { mode: 0o644 })
  const first = await start()
  const key = ['--key', path('key.json')]
  const at = ['--socket', socket]
  await admin('sign', `{"type":"cordon","node":"${node(161)}"}`, ...key, '--out', path('cordon.json'))
  const evict = `{"type":"force_evict_replica","chain":"${node(16)}","victim":"${node(2)}"}`
  await admin('simulate', evict, ...at, '--out', path('evict.json'))
  await admin('sign', path('evict.json'), ...key)
  expect(await published('submit', path('cordon.json'), ...at)).toEqual({ code: 0, text: 'accepted, audit record 1\n' })
  expect(await admin('submit', path('evict.json'), ...at)).toBe('accepted, audit record 2\n')
  await kill(first)

  expect(statSync(socket).isSocket()).toBe(true)
  expect(await published('submit', path('cordon.json'), ...at)).toEqual({
    code: 2,
    text: `stateward: no node answers at ${socket}: nobody listens there\n`,
  })
  await start()
  expect(await published('submit', path('cordon.json'), ...at)).toMatchObject({
    code: 1,
    text: expect.stringMatching(/^rejected: replayed: /),
  })
  expect(await admin('submit', path('evict.json'), ...at)).toMatch(/^rejected: ice_cooldown_active: /)
})
