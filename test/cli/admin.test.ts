import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseAdminCommand } from '../../src/cli/admin/command.js'
import { runAdminCommand } from '../../src/cli/admin/run.js'
import { parseCommand } from '../../src/cli/command.js'
import { operatorIdOf } from '../../src/node/admin/identity.js'
import { OperatorRegistry } from '../../src/node/admin/operators.js'
import { AdminVerifier } from '../../src/node/admin/verifier.js'
import { node, now } from '../node/admin/support/operators.js'
import { SocketFixture } from '../node/admin/support/socket.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stateward-cli-admin-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const path = (name: string): string => join(folder, name)

/** Runs `stateward admin` with these words, in the folder of the test, and tells exit code and output. */
async function admin(...args: readonly string[]): Promise<{ readonly exitCode: number; readonly text: string }> {
  const command = parseAdminCommand(args)
  if (command === undefined) throw new Error('it asks for help')
  let text = ''
  const output = { write: (part: string) => void (text += part) }
  const exitCode = await runAdminCommand(command, { output, clock: { wallNow: () => now } })
  return { exitCode, text }
}

/** Makes a key and tells the public half. */
async function keygen(name: string): Promise<string> {
  const { text } = await admin('keygen', path(name))
  const [, publicKey] = /public key {2}([0-9a-f]{64})/.exec(text) ?? []
  if (publicKey === undefined) throw new Error(text)
  return publicKey
}

async function writeOperators(publicKeys: readonly string[], threshold: number): Promise<string> {
  const file = path('operators.json')
  const operators = publicKeys.map((public_key) => ({ public_key }))
  const content = { type: 'stateward_operators', version: 1, operators, ice_threshold: threshold }
  await writeFile(file, JSON.stringify(content), { mode: 0o644 })
  await chmod(file, 0o644)
  return file
}

const cordon = `{"type":"cordon","node":"${node(2)}"}`
const freeze = '{"type":"freeze_cluster","ttl_ms":60000}'

describe('the command line of operators', () => {
  it.each([
    [['keygen', 'k'], { verb: 'keygen', keyFile: 'k' }],
    [['simulate', 'p', '--socket', 's', '--out', 'o'], { verb: 'simulate', proposal: 'p', socket: 's', out: 'o' }],
    [['simulate', '--snapshot', 's', 'p'], { verb: 'simulate', proposal: 'p', snapshotFile: 's' }],
    [['sign', 'e', '--key', 'k'], { verb: 'sign', subject: 'e', keyFile: 'k' }],
    [['verify', 'c', '--operators', 'o'], { verb: 'verify', commitFile: 'c', operatorsFile: 'o' }],
    [['submit', 'c', '--socket', 's'], { verb: 'submit', commitFile: 'c', socket: 's' }],
  ])('understands %j', (args, command) => {
    expect(parseCommand(['admin', ...args])).toEqual({ type: 'admin', command })
  })

  it.each([
    [[], 'admin needs a command'],
    [['kegen', 'k'], 'unknown command admin "kegen", did you mean keygen?'],
    [['keygen'], 'admin keygen needs a key file'],
    [['keygen', 'a', 'b'], 'admin keygen takes one key file, but got "b" too'],
    [['keygen', 'a', '--key', 'b'], 'admin keygen takes no --key'],
    [['sign', 'a'], 'admin sign needs --key'],
    [['sign', 'a', '--key', ''], 'admin sign needs something behind --key'],
    [['simulate', 'a'], 'admin simulate needs --socket or --snapshot'],
    [['simulate', 'a', '--socket', 'b', '--snapshot', 'c'], 'takes --socket or --snapshot, not both'],
    [['verify', 'a'], 'admin verify needs --operators'],
    [['submit', 'a'], 'admin submit needs --socket'],
    [['submit', 'a', '--scket', 'b'], "Unknown option '--scket'"],
  ])('refuses %j', (args, reason) => {
    expect(() => parseCommand(['admin', ...args])).toThrow(
      expect.objectContaining({ code: 'bad_usage', message: expect.stringContaining(reason) }),
    )
  })

  it('shows help of its own', () => {
    expect(parseCommand(['admin', '--help'])).toEqual({ type: 'admin help' })
    expect(parseCommand(['admin', 'sign', '-h'])).toEqual({ type: 'admin help' })
    expect(() => parseCommand(['amdin'])).toThrow(
      expect.objectContaining({ message: expect.stringContaining('did you mean admin?') }),
    )
  })

  it('[N-370] makes keys that only their owner can read, and replaces none', async () => {
    await keygen('key.json')
    expect((await stat(path('key.json'))).mode & 0o777).toBe(0o600)
    await expect(admin('keygen', path('key.json'))).rejects.toMatchObject({ code: 'admin.file_exists' })
  })

  it('[N-371] signs an event, says whether a node would take it, and hands it in', async () => {
    await using fixture = await SocketFixture.create()
    const publicKey = await keygen('key.json')
    const operators = await writeOperators([publicKey], 2)
    fixture.node.verifier = new AdminVerifier({ operators: new OperatorRegistry([{ publicKey }]) })
    await fixture.listen()
    const commit = path('commit.json')
    const signed = await admin('sign', cordon, '--key', path('key.json'), '--out', commit)
    const operatorId = operatorIdOf(publicKey)
    expect(signed).toEqual({
      exitCode: 0,
      text: [
        `{"type":"cordon","node":"${node(2)}"}`,
        `issued ${new Date(now).toISOString()}, 0 ms ago`,
        `signed by operator ${operatorId}`,
        `written to ${commit}\n`,
      ].join('\n'),
    })
    expect(await admin('verify', commit, '--operators', operators)).toEqual({ exitCode: 0, text: 'accepted\n' })
    expect(await admin('submit', commit, '--socket', fixture.path)).toEqual({
      exitCode: 0,
      text: 'accepted, audit record 1\n',
    })
    const again = await admin('submit', commit, '--socket', fixture.path)
    expect(again).toMatchObject({
      exitCode: 1,
      text: expect.stringMatching(/^rejected: replayed: .*, audit record 2\n$/),
    })
    expect(fixture.node.folded).toEqual([{ type: 'cordon', node: node(2) }])
  })

  it('[N-372] collects signatures for what was simulated', async () => {
    await using fixture = await SocketFixture.create()
    const publicKeys = [await keygen('anna.json'), await keygen('ben.json')]
    const operators = await writeOperators(publicKeys, 2)
    const registry = new OperatorRegistry(publicKeys.map((publicKey) => ({ publicKey })))
    fixture.node.verifier = new AdminVerifier({ operators: registry, iceThreshold: 2 })
    await fixture.listen()
    const commit = path('commit.json')
    const simulated = await admin('simulate', freeze, '--socket', fixture.path, '--out', commit)
    expect(simulated.text).toContain(`touches nodes: ${node(1)}, ${node(2)}, ${node(3)}`)
    expect(simulated.text).toContain('cluster_freeze_blocks_operator_actions')
    expect(simulated.text).toContain('signed by nobody yet')
    expect((await admin('sign', commit, '--key', path('anna.json'))).text).toContain('signed by 1 operator: ')
    const early = await admin('verify', commit, '--operators', operators, '--socket', fixture.path)
    expect(early).toMatchObject({ exitCode: 1, text: expect.stringContaining('insufficient_signatures') })
    // The same operator once more changes nothing.
    await admin('sign', commit, '--key', path('anna.json'))
    expect((await admin('sign', commit, '--key', path('ben.json'))).text).toContain('signed by 2 operators: ')
    expect(await admin('verify', commit, '--operators', operators, '--socket', fixture.path)).toMatchObject({
      exitCode: 0,
    })
    expect((await admin('submit', commit, '--socket', fixture.path)).text).toBe('accepted, audit record 1\n')
    expect(fixture.node.folded).toEqual([{ type: 'freeze_cluster', ttlMs: 60_000 }])
  })

  it('[N-372] simulates by a snapshot in a file', async () => {
    await writeFile(
      path('snapshot.json'),
      JSON.stringify({ node: node(7), peers: [], replicas: [], daemons: [], in_flight_migrations: [], epoch: '0' }),
    )
    const { exitCode, text } = await admin('simulate', freeze, '--snapshot', path('snapshot.json'))
    expect(exitCode).toBe(0)
    expect(text).toContain(`touches nodes: ${node(7)}`)
    expect(text).toContain('written nowhere: name a file with --out')
  })

  it('[N-373] signs nothing in a way that no node would take', async () => {
    await keygen('key.json')
    const key = ['--key', path('key.json')]
    const usage = (reason: string) => ({ code: 'bad_usage', message: expect.stringContaining(reason) })
    await expect(admin('sign', freeze, ...key, '--out', path('c'))).rejects.toMatchObject(usage('has to be simulated'))
    await expect(admin('simulate', cordon, '--snapshot', path('s'))).rejects.toMatchObject(usage('needs no simulation'))
    await expect(admin('sign', cordon, ...key)).rejects.toMatchObject(usage('needs --out'))
    await admin('sign', cordon, ...key, '--out', path('c'))
    await expect(admin('sign', path('c'), ...key)).rejects.toMatchObject(usage('is signed already'))
    const snapshot = { node: node(7), peers: [], replicas: [], daemons: [], in_flight_migrations: [] }
    await writeFile(path('s'), JSON.stringify(snapshot))
    await admin('simulate', freeze, '--snapshot', path('s'), '--out', path('p'))
    const widened = (await readFile(path('p'), 'utf8')).replace(node(7), node(8))
    await writeFile(path('p'), widened)
    await expect(admin('sign', path('p'), ...key)).rejects.toMatchObject({ code: 'simulation_mismatch' })
    const operators = await writeOperators([], 1)
    await expect(admin('verify', path('p'), '--operators', operators)).rejects.toMatchObject(
      usage('needs --socket or --snapshot'),
    )
    await expect(admin('sign', path('none'), ...key)).rejects.toMatchObject({ code: 'file_unusable' })
    await expect(admin('sign', '{"type":"cordon"}', ...key, '--out', path('c'))).rejects.toMatchObject({
      code: 'invalid_input',
    })
    await expect(admin('sign', '{broken', ...key, '--out', path('c'))).rejects.toMatchObject({ code: 'invalid_input' })
    await expect(admin('submit', path('c'), '--socket', path('nowhere'))).rejects.toMatchObject({
      code: 'admin.node_unreachable',
    })
  })
})
