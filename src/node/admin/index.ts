/** Administration: who may give commands to a node, and how that is verified. */
export { admitCommit, type Admission, type AdmissionAudit } from './admission.js'
export {
  acceptCommit,
  adminMemoryRow,
  commitAccepted,
  emptyAdminMemory,
  latestMemory,
  type AcceptedCommit,
  type AdminMemory,
  type AdminMemoryRows,
} from './admin-memory.js'
export { createSeed, KeyPair, type PublicKeyText, type SignatureText } from './ed25519.js'
export { AdminError, type AdminErrorData } from './errors.js'
export { nodeIdOf, operatorIdOf } from './identity.js'
export { readKeyFile, writeKeyFile, type OperatorKey } from './key-file.js'
export { killMigration, migrationsUnderWay, type MigrationAborter, type MigrationSource } from './kill-migration.js'
export {
  OperatorRegistry,
  readOperatorsFile,
  type Operator,
  type OperatorOptions,
  type OperatorsFile,
} from './operators.js'
export { adminPayload, blastHashOf, icePayload, payloadDigest } from './signing-payload.js'
export { decodeSimulationView, simulate, type SimulationView } from './simulation.js'
export { AdminVerifier, type AdminVerifierOptions } from './verifier.js'
export { decodeCommit, encodeCommit, mostCommitBytes, payloadOf, type SignedAttempt } from './commit-document.js'
export { proposeIceCommit, signAdminCommit, signIceCommit } from './signing.js'
export { readSimulationView, submitCommit } from './socket/admin-client.js'
export { AdminSocket, type AdminHost, type AdminSocketOptions } from './socket/admin-socket.js'
export type { AdminReceipt } from './socket/protocol.js'
