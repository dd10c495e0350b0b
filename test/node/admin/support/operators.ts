import { KeyPair } from '../../../../src/node/admin/ed25519.js'
import { emptyAdminMemory } from '../../../../src/node/admin/admin-memory.js'
import { operatorIdOf } from '../../../../src/node/admin/identity.js'
import { OperatorRegistry } from '../../../../src/node/admin/operators.js'
import type { SimulationView } from '../../../../src/node/admin/simulation.js'
import type { IceVerificationCircumstances } from '../../../../src/node/admin/verifier.js'
import { AdminVerifier, type AdminVerifierOptions } from '../../../../src/node/admin/verifier.js'
import type { ChainId, DaemonId, MigrationId, NodeId } from '../../../../src/node/ids.js'

/** A key whose secret is this byte 32 times. */
export function keyOf(byte: number): KeyPair {
  return KeyPair.fromSeed(new Uint8Array(32).fill(byte))
}

/** Three operators who are registered, and one who is not. */
export const [anna, ben, cleo, stranger] = [keyOf(1), keyOf(2), keyOf(3), keyOf(9)] as const

export const idOf = ({ publicKey }: KeyPair) => operatorIdOf(publicKey)

export const operators = new OperatorRegistry([anna, ben, cleo])

/** A verifier that knows the three. */
export function verifierWith(options: Partial<AdminVerifierOptions> = {}): AdminVerifier {
  return new AdminVerifier({ operators, ...options })
}

const hex = <Id extends string>(value: number): Id => value.toString(16).padStart(16, '0') as Id

export const node = (value: number): NodeId => hex<NodeId>(value)
export const chain = (value: number): ChainId => hex<ChainId>(value)
export const daemon = (value: number): DaemonId => hex<DaemonId>(value)
export const migration = (value: number): MigrationId => hex<MigrationId>(value)

/** What node 1 knows: nodes 2 and 3, chain 16 on 2 and 3, a daemon that backs off and one that runs, one migration. */
export const view: SimulationView = {
  node: node(1),
  peers: new Map([
    [node(3), {}],
    [node(2), {}],
  ]),
  replicas: new Map([[chain(16), { holders: [node(2), node(3)] }]]),
  daemons: new Map([
    [daemon(32), { restart: { status: 'backing_off' } }],
    [daemon(33), { restart: { status: 'idle' } }],
  ]),
  inFlightMigrations: [{ migration: migration(32) }],
}

/** An instant, in epoch milliseconds. */
export const now = 1_790_000_000_000

/** Nothing was accepted before, and the snapshot is {@link view}. */
export function circumstances(changes: Partial<IceVerificationCircumstances> = {}): IceVerificationCircumstances {
  return { nowMs: now, memory: emptyAdminMemory, snapshot: view, ...changes }
}
