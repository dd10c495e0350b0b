import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRuntime } from '../../src/index.js'
import { OperatorRegistry } from '../../src/node/admin/operators.js'
import { proposeIceCommit, signAdminCommit, signIceCommit } from '../../src/node/admin/signing.js'
import { readSimulationView, submitCommit } from '../../src/node/admin/socket/admin-client.js'
import { AdminVerifier } from '../../src/node/admin/verifier.js'
import type { IceProposal } from '../../src/node/admin-event.js'
import { anna, ben, idOf, node, stranger } from '../node/admin/support/operators.js'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'stateward-node-admin-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const thisNode = node(161)

function open(operators: OperatorRegistry | undefined = new OperatorRegistry([anna, ben])) {
  return createRuntime({
    dataDir: join(directory, 'data'),
    node: {
      thisNode,
      tickIntervalMs: 10,
      adminSocket: join(directory, 'run', 'admin.sock'),
      ...(operators && { verifier: new AdminVerifier({ operators, iceThreshold: 2 }) }),
    },
  })
}

describe('a running node', () => {
  const path = (): string => join(directory, 'run', 'admin.sock')
  const ordinary = (key = anna, event = { type: 'cordon', node: thisNode } as const) =>
    ({ type: 'signed_admin_commit', commit: signAdminCommit(key, event, Date.now()) }) as const
  const bundle = async (proposal: IceProposal) => {
    const commit = proposeIceCommit(await readSimulationView(path()), proposal, Date.now())
    return { type: 'signed_ice_commit', commit: signIceCommit(ben, signIceCommit(anna, commit)) } as const
  }

  it('[N-365] obeys its operators, and remembers over a restart what it has obeyed and what rests', async () => {
    const cordon = ordinary()
    let runtime = await open()
    expect(await submitCommit(path(), cordon)).toEqual({ outcome: { status: 'accepted' }, seq: 1 })
    const freeze = await bundle({ type: 'freeze_cluster', ttlMs: 600_000 })
    expect((await submitCommit(path(), freeze)).outcome.status).toBe('accepted')
    expect((await submitCommit(path(), ordinary(stranger))).outcome).toMatchObject({ kind: 'freeze_in_effect' })
    await runtime.close()
    expect(() => statSync(path())).toThrow(expect.objectContaining({ code: 'ENOENT' }))
    runtime = await open()
    // Still frozen, and the commits of before are known.
    expect((await submitCommit(path(), freeze)).outcome).toMatchObject({ kind: 'ice_cooldown_active' })
    expect((await submitCommit(path(), cordon)).outcome).toMatchObject({ kind: 'freeze_in_effect' })
    const thaw = await bundle({ type: 'thaw_cluster' })
    expect((await submitCommit(path(), thaw)).outcome.status).toBe('accepted')
    expect((await submitCommit(path(), thaw)).outcome).toMatchObject({ kind: 'replayed' })
    expect((await submitCommit(path(), cordon)).outcome).toMatchObject({ kind: 'replayed' })
    await runtime.close()
    const audited = runtime.node.reader.read().adminAudit
    expect(audited.map(({ seq, outcome }) => [seq, outcome.status])).toEqual([
      [1, 'rejected'],
      [2, 'rejected'],
      [3, 'accepted'],
      [4, 'rejected'],
      [5, 'rejected'],
    ])
    expect(audited.at(-1)?.operatorIds).toEqual([idOf(anna)])
  })

  it('[N-332] with operators folds nothing that is not signed, inside its process either', async () => {
    const runtime = await open()
    const { outcome } = await runtime.node.submit({ type: 'admin_event', event: { type: 'cordon', node: thisNode } })
    expect(outcome).toMatchObject({ status: 'rejected', kind: 'unsigned' })
    const commit = signAdminCommit(anna, { type: 'freeze_cluster', ttlMs: 1000 }, Date.now())
    expect((await runtime.node.submit({ type: 'signed_admin_commit', commit })).outcome).toMatchObject({
      kind: 'ice_requires_bundle',
    })
    await runtime.close()
    const snapshot = runtime.node.reader.read()
    expect(snapshot.isCordoned).toBe(false)
    expect(snapshot.freezeRemainingMs).toBeUndefined()
  })

  it('[N-361] does not open a socket without operators, nor a runtime that was told to', async () => {
    await expect(open(new OperatorRegistry([]))).rejects.toMatchObject({ code: 'admin.no_operators' })
    const runtime = await open()
    await expect(
      createRuntime({
        node: {
          thisNode,
          adminSocket: path(),
          verifier: new AdminVerifier({ operators: new OperatorRegistry([anna]) }),
        },
      }),
    ).rejects.toMatchObject({ code: 'admin.socket_occupied' })
    await runtime.close()
    const again = await open()
    await again.close()
  })
})
