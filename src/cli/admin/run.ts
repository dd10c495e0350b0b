import type { Clock } from '../../base/clock.js'
import { StatewardError } from '../../base/errors.js'
import { decodeAdminEvent, isIce, type AdminEvent } from '../../node/admin-event.js'
import {
  AdminVerifier,
  admitCommit,
  blastHashOf,
  createSeed,
  decodeCommit,
  decodeSimulationView,
  emptyAdminMemory,
  encodeCommit,
  nodeIdOf,
  proposeIceCommit,
  readKeyFile,
  readOperatorsFile,
  readSimulationView,
  signAdminCommit,
  signIceCommit,
  submitCommit,
  mostCommitBytes,
  writeKeyFile,
  type SignedAttempt,
  type SimulationView,
} from '../../node/admin/index.js'
import type { JsonValue } from '../../base/json.js'
import type { NodeId } from '../../node/ids.js'
import type { VerificationOutcome } from '../../node/records.js'
import type { OutputTarget } from '../paint.js'
import { plain } from '../text.js'
import { UsageError } from '../usage-error.js'
import type { AdminCommand, SnapshotSource } from './command.js'
import { commitText } from './commit-text.js'
import { isJsonText, readJson, writeJson } from './json-file.js'

/** Largest snapshot file, in bytes. */
const mostSnapshotBytes = 64 * 2 ** 20

/** What the commands need from their environment. */
export interface AdminSurroundings {
  readonly output: Pick<OutputTarget, 'write'>
  readonly clock: Pick<Clock, 'wallNow'>
}

/**
 * Runs a `stateward admin` command and returns the exit code: 1 when a commit is rejected. Raises the errors of files
 * and nodes.
 */
export async function runAdminCommand(command: AdminCommand, { output, clock }: AdminSurroundings): Promise<number> {
  const nowMs = Math.trunc(clock.wallNow())
  switch (command.verb) {
    case 'keygen': {
      const { operatorId, key } = await writeKeyFile(command.keyFile, createSeed())
      output.write(`operator    ${operatorId}\npublic key  ${key.publicKey}\nnode        ${nodeIdOf(key.publicKey)}\n`)
      return 0
    }
    case 'simulate': {
      const proposal = decodeAdminEvent((await readJson(command.proposal, mostCommitBytes)) as JsonValue)
      if (!isIce(proposal)) throw new UsageError(`${proposal.type} needs no simulation: sign it`, adminHelp)
      const commit = proposeIceCommit(await snapshotOf(command), proposal, nowMs)
      return tell({ type: 'signed_ice_commit', commit }, command.out)
    }
    case 'sign': {
      const attempt = await sign(command, nowMs)
      const isFile = !isJsonText(command.subject)
      return tell(attempt, command.out ?? (isFile ? command.subject : undefined))
    }
    case 'verify': {
      const attempt = await readCommit(command.commitFile)
      return tellOutcome(await verify(attempt, command, nowMs))
    }
    case 'submit': {
      const { outcome, seq } = await submitCommit(command.socket, await readCommit(command.commitFile))
      return tellOutcome(outcome, seq)
    }
  }

  async function tell(attempt: SignedAttempt, out: string | undefined): Promise<number> {
    if (out !== undefined) await writeJson(out, encodeCommit(attempt))
    output.write(commitText(attempt, nowMs))
    output.write(out === undefined ? 'written nowhere: name a file with --out\n' : `written to ${plain(out)}\n`)
    return 0
  }

  function tellOutcome(outcome: VerificationOutcome, seq?: number): number {
    const record = seq === undefined ? '' : `, audit record ${seq}`
    if (outcome.status === 'rejected') {
      output.write(`rejected: ${outcome.kind}: ${plain(outcome.message)}${record}\n`)
      return 1
    }
    output.write(`${outcome.status}${record}\n`)
    return 0
  }
}

type CommandOf<Verb extends AdminCommand['verb']> = Extract<AdminCommand, { readonly verb: Verb }>

/** Signs an event, which becomes a commit, or adds a signature to a simulated commit. */
async function sign({ subject, keyFile, out }: CommandOf<'sign'>, nowMs: number): Promise<SignedAttempt> {
  const document = await readJson(subject, mostCommitBytes)
  const { key } = await readKeyFile(keyFile)
  if (!isCommit(document)) return signEvent(decodeAdminEvent(document as JsonValue), out)
  const attempt = decodeCommit(document)
  if (attempt.type === 'signed_admin_commit') throw new UsageError('the commit is signed already', adminHelp)
  const { commit } = attempt
  if (commit.blastHash !== blastHashOf(commit.blastRadius)) {
    throw new StatewardError('simulation_mismatch', `${subject}: its digest is not that of its radius`, {})
  }
  return { type: 'signed_ice_commit', commit: signIceCommit(key, commit) }

  function signEvent(event: AdminEvent, target: string | undefined): SignedAttempt {
    if (isIce(event)) throw new UsageError(`${event.type} has to be simulated before it is signed`, adminHelp)
    if (target === undefined) throw new UsageError('admin sign needs --out for an event', adminHelp)
    return { type: 'signed_admin_commit', commit: signAdminCommit(key, event, nowMs) }
  }
}

async function verify(
  attempt: SignedAttempt,
  command: CommandOf<'verify'>,
  nowMs: number,
): Promise<VerificationOutcome> {
  const verifier = new AdminVerifier(await readOperatorsFile(command.operatorsFile))
  const hasSource = 'socket' in command || 'snapshotFile' in command
  if (!hasSource && attempt.type === 'signed_ice_commit') {
    throw new UsageError('admin verify needs --socket or --snapshot for what was simulated', adminHelp)
  }
  const snapshot = hasSource ? await snapshotOf(command as SnapshotSource) : nothingKnown
  const { audit } = admitCommit(attempt, {
    verifier,
    nowMs,
    memory: emptyAdminMemory,
    snapshot,
    isFrozen: snapshot.freezeRemainingMs !== undefined,
    forcedEntries: { count: 0, capacity: 1 },
  })
  return audit.outcome
}

/** The view without a simulation; an ordinary commit is judged without one. */
const nothingKnown: SimulationView = {
  node: '0'.repeat(16) as NodeId,
  peers: new Map(),
  replicas: new Map(),
  daemons: new Map(),
  inFlightMigrations: [],
}

async function snapshotOf(source: SnapshotSource): Promise<SimulationView> {
  if ('socket' in source) return readSimulationView(source.socket)
  return decodeSimulationView(await readJson(source.snapshotFile, mostSnapshotBytes))
}

async function readCommit(file: string): Promise<SignedAttempt> {
  return decodeCommit(await readJson(file, mostCommitBytes))
}

function isCommit(document: unknown): boolean {
  return typeof document === 'object' && document !== null && 'commit' in document
}

const adminHelp = 'stateward admin --help'
