import { chmod, mkdir, readdir, rename, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeCommit, mostCommitBytes } from '../../../src/node/admin/commit-document.js'
import { OperatorRegistry } from '../../../src/node/admin/operators.js'
import { proposeIceCommit, signAdminCommit, signIceCommit } from '../../../src/node/admin/signing.js'
import { simulate } from '../../../src/node/admin/simulation.js'
import { readSimulationView, submitCommit } from '../../../src/node/admin/socket/admin-client.js'
import { AdminSocket } from '../../../src/node/admin/socket/admin-socket.js'
import { AdminVerifier } from '../../../src/node/admin/verifier.js'
import type { AdminEvent } from '../../../src/node/admin-event.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { anna, ben, idOf, node, now, stranger, view } from './support/operators.js'
import { SocketFixture } from './support/socket.js'

const cordon: AdminEvent = { type: 'cordon', node: node(2) }
const freeze = { type: 'freeze_cluster', ttlMs: 60_000 } as const
const ordinary = (key = anna) => ({ type: 'signed_admin_commit', commit: signAdminCommit(key, cordon, now) }) as const

let fixture: SocketFixture
beforeEach(async () => {
  fixture = await SocketFixture.create()
})
afterEach(() => fixture[Symbol.asyncDispose]())

describe('the admin socket', () => {
  it('[N-360] is open for the user of the node alone', async () => {
    await fixture.listen()
    expect((await stat(fixture.path)).mode & 0o777).toBe(0o600)
    expect((await stat(dirname(fixture.path))).mode & 0o777).toBe(0o700)
    expect(await readdir(dirname(fixture.path))).toEqual(['admin.sock'])
  })

  it('[N-361] opens only where a verifier knows an operator', async () => {
    const nobody = new AdminVerifier({ operators: new OperatorRegistry([]) })
    for (const verifier of [undefined, nobody]) {
      const host = {
        verifier,
        submit: () => Promise.reject(new Error('never')),
        snapshot: () => fixture.node.snapshot(),
      }
      await expect(fixture.listen({ host })).rejects.toMatchObject({ code: 'admin.no_operators' })
    }
    await expect(stat(fixture.path)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it.each([
    [{ path: '' }, 'path'],
    [{ host: {} }, 'host'],
    [{ idleMs: Number.NaN }, 'idleMs'],
    [{ clock: {} }, 'clock'],
    [{ mode: 0o666 }, 'mode'],
  ])('refuses %j', async (options, field) => {
    await expect(fixture.listen(options as object)).rejects.toMatchObject({ code: 'invalid_input', data: { field } })
  })

  it('[N-362] is refused in a folder that others can enter, or that is none', async () => {
    await mkdir(dirname(fixture.path), { mode: 0o700 })
    for (const mode of [0o750, 0o705, 0o777]) {
      await chmod(dirname(fixture.path), mode)
      await expect(fixture.listen()).rejects.toMatchObject({
        code: 'admin.file_exposed',
        data: { reason: 'others can enter it', mode },
      })
    }
    await chmod(dirname(fixture.path), 0o700)
    await rename(dirname(fixture.path), join(fixture.folder, 'elsewhere'))
    await symlink(join(fixture.folder, 'elsewhere'), dirname(fixture.path))
    await expect(fixture.listen()).rejects.toMatchObject({
      code: 'admin.file_unusable',
      data: { reason: 'it is no folder' },
    })
  })

  it('[N-362] is refused where its path is too long for a socket', async () => {
    const path = join(fixture.folder, 'x'.repeat(100))
    await expect(fixture.listen({ path })).rejects.toMatchObject({ code: 'admin.socket_path_too_long' })
  })

  it('[N-363] takes the place of a stale one, and of nothing else', async () => {
    const first = await fixture.listen()
    await expect(fixture.listen()).rejects.toMatchObject({
      code: 'admin.socket_occupied',
      data: { reason: 'a node listens there already' },
    })
    // As a node leaves it that was killed: the name is there and nobody listens.
    await rename(fixture.path, `${fixture.path}.kept`)
    await first.close()
    await rename(`${fixture.path}.kept`, fixture.path)
    await expect(submitCommit(fixture.path, ordinary())).rejects.toMatchObject({ code: 'admin.node_unreachable' })
    const second = await fixture.listen()
    expect((await submitCommit(fixture.path, ordinary())).outcome.status).toBe('accepted')
    await second.close()
    await writeFile(fixture.path, 'something of value')
    await expect(fixture.listen()).rejects.toMatchObject({
      code: 'admin.socket_occupied',
      data: { reason: 'something else is there, and is not replaced' },
    })
    expect((await stat(fixture.path)).isFile()).toBe(true)
  })

  it('[N-364] ends with its owner, with every connection, and takes its name away once', async () => {
    const clock = new SimulatedClock()
    const socket = await fixture.listen({ clock })
    const connection = fixture.connect()
    connection.send('{"type":"snapshot"}\n')
    expect(await connection.next()).toMatchObject({ type: 'snapshot' })
    await Promise.all([socket.close(), socket.close()])
    await connection.ended
    expect(clock.pendingTimeouts).toBe(0)
    await expect(stat(fixture.path)).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(readSimulationView(fixture.path)).rejects.toMatchObject({
      code: 'admin.node_unreachable',
      data: { reason: 'nobody listens there' },
    })
    // The socket that another node has opened meanwhile stays.
    const next = await fixture.listen()
    await socket.close()
    expect((await stat(fixture.path)).isSocket()).toBe(true)
    await next.close()
  })

  it('[N-365] hands a commit to the loop and tells what became of it', async () => {
    await fixture.listen()
    expect(await submitCommit(fixture.path, ordinary())).toEqual({ outcome: { status: 'accepted' }, seq: 1 })
    expect(await submitCommit(fixture.path, ordinary())).toMatchObject({
      outcome: { status: 'rejected', kind: 'replayed' },
      seq: 2,
    })
    expect(await submitCommit(fixture.path, ordinary(stranger))).toEqual({
      outcome: { status: 'rejected', kind: 'not_authorized', message: `${idOf(stranger)} is not an operator here` },
      seq: 3,
    })
    expect(fixture.node.folded).toEqual([cordon])
    expect(fixture.node.audit).toHaveLength(3)
  })

  it('[N-365] tells what a simulation needs, so that operators sign what the node would say', async () => {
    await fixture.listen()
    const snapshot = await readSimulationView(fixture.path)
    expect(simulate(snapshot, freeze)).toEqual(simulate(view, freeze))
    const commit = [anna, ben].reduce(
      (signed, key) => signIceCommit(key, signed),
      proposeIceCommit(snapshot, freeze, now),
    )
    expect((await submitCommit(fixture.path, { type: 'signed_ice_commit', commit })).outcome.status).toBe('accepted')
    expect(fixture.node.folded).toEqual([freeze])
  })

  it('[N-366] decodes what comes by schema, and goes on after what it does not understand', async () => {
    await fixture.listen()
    const connection = fixture.connect()
    const commit = encodeCommit(ordinary())
    const wrong: readonly unknown[] = [
      undefined,
      null,
      [],
      'submit',
      {},
      { type: 'fold', event: cordon },
      { type: 'admin_event', event: cordon },
      { type: 'submit' },
      { type: 'submit', commit: null },
      { type: 'submit', commit: [commit] },
      { type: 'submit', commit, more: 1 },
      { type: 'submit', commit: { ...commit, version: 2 } },
      { type: 'submit', commit: { ...commit, more: 1 } },
      { type: 'submit', commit: { type: 'admin_event', version: 1, event: cordon } },
      { type: 'submit', commit: { ...commit, commit: { event: cordon, issued_at_ms: now } } },
      { type: 'submit', commit: { ...commit, commit: { ...(commit['commit'] as object), issued_at_ms: -1 } } },
      { type: 'snapshot', of: 'another' },
    ]
    for (const request of wrong) {
      connection.send(`${request === undefined ? 'no json' : JSON.stringify(request)}\n`)
      expect(await connection.next()).toMatchObject({ type: 'error', code: 'invalid_input' })
    }
    connection.send(`${'['.repeat(1_000_000)}\n`)
    expect(await connection.next()).toMatchObject({ type: 'error', code: 'invalid_input' })
    connection.send(`${'{"type":'.repeat(200_000)}1${'}'.repeat(200_000)}\n`)
    expect(await connection.next()).toMatchObject({ type: 'error', code: 'invalid_input' })
    const deep = `{"type":"submit","commit":{"type":"signed_admin_commit","version":1,"commit":${'{"event":'.repeat(100_000)}1${'}'.repeat(100_000)}}}`
    connection.send(`${deep}\n`)
    expect(await connection.next()).toMatchObject({ type: 'error', code: 'invalid_input' })
    expect(fixture.node.audit).toEqual([])
    // In pieces, two at once, and with what stands between lines.
    const line = Buffer.from(`${JSON.stringify({ type: 'submit', commit })}\n`)
    for (const byte of line.subarray(0, 40)) connection.send(Uint8Array.of(byte))
    connection.send(Buffer.concat([line.subarray(40), line]))
    expect(await connection.next()).toMatchObject({ receipt: { outcome: { status: 'accepted' } } })
    expect(await connection.next()).toMatchObject({ receipt: { outcome: { status: 'rejected', kind: 'replayed' } } })
  })

  it('[N-367] holds no more of a line than a commit may have, and understands nothing behind it', async () => {
    await fixture.listen()
    const connection = fixture.connect()
    connection.send(Buffer.alloc(mostCommitBytes + 2048, 0x20))
    expect(await connection.next()).toMatchObject({ type: 'error', code: 'invalid_input' })
    await connection.ended
    const garbled = fixture.connect()
    garbled.send(Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('\n')]))
    expect(await garbled.next()).toMatchObject({ type: 'error', code: 'invalid_input' })
    await garbled.ended
    const cut = fixture.connect()
    cut.send('{"type":"snap')
    cut.socket.end()
    expect(await cut.next()).toBeUndefined()
    expect((await submitCommit(fixture.path, ordinary())).outcome.status).toBe('accepted')
  })

  it('[N-367] ends a connection that stays silent, or does not come to the end of its line', async () => {
    const clock = new SimulatedClock()
    await fixture.listen({ clock, idleMs: 1000 })
    const connection = fixture.connect()
    connection.send('{"type":"snapshot"}\n')
    expect(await connection.next()).toMatchObject({ type: 'snapshot' })
    clock.advance(999)
    connection.send('{"type":"snapshot"}\n{"type":')
    expect(await connection.next()).toMatchObject({ type: 'snapshot' })
    clock.advance(999)
    expect(connection.socket.destroyed).toBe(false)
    clock.advance(1)
    await connection.ended
  })

  it('[N-367] takes so many connections at once', async () => {
    await fixture.listen()
    const first = Array.from({ length: 16 }, () => fixture.connect())
    for (const connection of first) connection.send('{"type":"snapshot"}\n')
    for (const connection of first) expect(await connection.next()).toMatchObject({ type: 'snapshot' })
    const beyond = fixture.connect()
    beyond.send('{"type":"snapshot"}\n')
    expect(await beyond.next()).toBeUndefined()
  })

  it('[N-367] asks nobody to be answered who does not read', async () => {
    await fixture.listen()
    let asked = 0
    const peers = new Map(
      Array.from({ length: 2000 }, (_, peer) => [node(peer), { node: node(peer), isCordoned: false }]),
    )
    const host = {
      verifier: fixture.node.verifier,
      submit: () => Promise.reject(new Error('never')),
      snapshot: () => {
        asked += 1
        return { ...fixture.node.snapshot(), peers }
      },
    }
    const path = join(dirname(fixture.path), 'other.sock')
    const other = await fixture.listen({ host, path })
    expect(other.path).toBe(path)
    const connection = fixture.connect(path)
    connection.socket.pause()
    const many = 200
    connection.send('{"type":"snapshot"}\n'.repeat(many))
    await expect.poll(() => asked).toBeGreaterThan(0)
    const settled = await stable(() => asked)
    expect(settled).toBeLessThan(many)
    connection.socket.resume()
    for (let answer = 0; answer < many; answer += 1) await connection.next()
    expect(asked).toBe(many)
  })

  it('[N-368] tells nothing of a fault of the node but that there is one', async () => {
    const faults: object[] = []
    const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: (fields: object) => faults.push(fields) }
    const host = {
      verifier: fixture.node.verifier,
      submit: () => Promise.reject(new Error('a secret of the node')),
      snapshot: () => fixture.node.snapshot(),
    }
    await fixture.listen({ host, logger })
    await expect(submitCommit(fixture.path, ordinary())).rejects.toMatchObject({
      code: 'admin.request_refused',
      data: { refusal: 'internal', reason: 'the node failed to answer' },
    })
    expect(JSON.stringify(faults)).toContain('a secret of the node')
  })

  it('[N-368] tells an operator when the node goes before it has answered', async () => {
    let ask = (): void => {}
    const asked = new Promise<void>((resolve) => (ask = resolve))
    const host = {
      verifier: fixture.node.verifier,
      submit: () => {
        ask()
        return new Promise<never>(() => {})
      },
      snapshot: () => fixture.node.snapshot(),
    }
    const socket = await fixture.listen({ host })
    const submitted = submitCommit(fixture.path, ordinary()).catch((reason: unknown) => reason)
    await asked
    await socket.close()
    expect(await submitted).toMatchObject({
      code: 'admin.node_unreachable',
      data: { reason: 'the connection ended before the answer' },
    })
  })
})

describe('an operator', () => {
  it('[N-369] is warned of a node that answers another question, or at length', async () => {
    await mkdir(dirname(fixture.path), { mode: 0o700 })
    const answers = [
      '{"type":"receipt","receipt":{"outcome":{"status":"accepted"}}}\n',
      'nonsense\n',
      '{"type":"yes"}\n',
    ]
    const server = createServer((socket) => socket.end(answers.shift() ?? ''))
    await new Promise<void>((resolve) => server.listen(fixture.path, resolve))
    try {
      await expect(readSimulationView(fixture.path)).rejects.toMatchObject({
        code: 'admin.node_unreachable',
        data: { reason: 'it answered another question' },
      })
      await expect(readSimulationView(fixture.path)).rejects.toMatchObject({ code: 'invalid_input' })
      await expect(readSimulationView(fixture.path)).rejects.toMatchObject({ code: 'invalid_input' })
      await expect(readSimulationView(fixture.path)).rejects.toMatchObject({ code: 'admin.node_unreachable' })
    } finally {
      server.close()
    }
  })

  it('[N-361] cannot open a socket by hand without a verifier', async () => {
    const host = {
      verifier: undefined,
      submit: () => Promise.reject(new Error('never')),
      snapshot: () => fixture.node.snapshot(),
    }
    await expect(AdminSocket.open({ path: fixture.path, host })).rejects.toMatchObject({ code: 'admin.no_operators' })
  })
})

/** The value once it has stayed the same for many turns of the event loop. */
async function stable(read: () => number): Promise<number> {
  let value = read()
  for (let turns = 0; turns < 200; turns += 1) {
    await new Promise(setImmediate)
    const next = read()
    if (next !== value) turns = 0
    value = next
  }
  return value
}
