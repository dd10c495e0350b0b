/** Administration: who may tell a node what to do, and how it is known. */
export { admitCommit, type Admission, type AdmissionAudit, type AdmissionCircumstances } from './admission.js'
export {
  acceptCommit,
  adminMemoryRow,
  commitAccepted,
  emptyAdminMemory,
  latestMemory,
  remember,
  type AcceptedCommit,
  type AdminMemory,
  type AdminMemoryRows,
  type SeenCommit,
} from './admin-memory.js'
export type { Cooldown, CooldownTarget } from './cooldown.js'
export { createSeed, KeyPair } from './ed25519.js'
export { AdminError, type AdminErrorData } from './errors.js'
export { nodeIdOf, operatorIdOf } from './identity.js'
export { readKeyFile, writeKeyFile, type OperatorKey } from './key-file.js'
export { killMigration, migrationsUnderWay, type MigrationAborter, type MigrationSource } from './kill-migration.js'
export { OperatorRegistry, readOperatorsFile, type Operator, type OperatorOptions } from './operators.js'
export { adminPayload, blastHashOf, icePayload, payloadDigest } from './signing-payload.js'
export { decodeSimulationView, simulate, type SimulationView } from './simulation.js'
export { AdminVerifier, type AdminVerifierOptions, type Rejection, type Verification } from './verifier.js'
export { decodeCommit, encodeCommit, mostCommitBytes, type SignedAttempt } from './commit-document.js'
export { proposeIceCommit, signAdminCommit, signIceCommit } from './signing.js'
export { readSimulationView, submitCommit } from './socket/admin-client.js'
export { AdminSocket, type AdminHost, type AdminSocketOptions } from './socket/admin-socket.js'
export type { AdminReceipt } from './socket/protocol.js'
