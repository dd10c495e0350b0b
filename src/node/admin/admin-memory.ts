import * as v from 'valibot'
import { strictSchema } from '../../base/options.js'
import { commandDefiner } from '../../state/command.js'
import { eventDefiner } from '../../state/event.js'
import { rowDefiner } from '../../state/row.js'
import type { Table } from '../../state/table.js'
import { digestSchema, nodeIdSchema, type Digest } from '../ids.js'
import { naturalSchema } from '../scalars.js'
import type { Cooldown, CooldownTarget } from './cooldown.js'
import { AdminError } from './errors.js'

/** An accepted commit, remembered so that a replay of it is refused. */
export interface SeenCommit {
  /**
   * Digest of the signed payload. The signers are not part of it: the same payload with other signatures is the same
   * commit.
   */
  readonly digest: Digest
  readonly issuedAtMs: number
}

/**
 * What administration remembers, in memory and across restarts: the accepted commits and the active cooldowns.
 * Immutable; {@link remember} returns the next one.
 */
export interface AdminMemory {
  /** In order of acceptance. */
  readonly seen: readonly SeenCommit[]
  /**
   * Commits issued before this instant are refused, whatever the clock says now: such a commit may have been accepted
   * and forgotten (N-312).
   */
  readonly forgottenBeforeMs: number
  readonly cooldowns: readonly Cooldown[]
}

/** What to remember of an accepted commit. It becomes durable together with the effects of the commit. */
export interface AcceptedCommit extends SeenCommit {
  /** The instant it was judged by, in epoch milliseconds. */
  readonly acceptedAtMs: number
  /** Commits issued before this instant can be forgotten: they are no longer fresh. */
  readonly forgetBeforeMs: number
  /** The cooldown that starts with it. */
  readonly cooldown?: Cooldown
}

/** The memory before any commit was accepted. */
export const emptyAdminMemory: AdminMemory = Object.freeze({
  seen: Object.freeze([]),
  forgottenBeforeMs: 0,
  cooldowns: Object.freeze([]),
})

/** Whether a commit with this digest was accepted, as far as the memory reaches. */
export function hasSeen({ seen }: AdminMemory, digest: Digest): boolean {
  return seen.some((commit) => commit.digest === digest)
}

/** The number of remembered commits that were issued at or after an instant. */
export function seenSince({ seen }: AdminMemory, sinceMs: number): number {
  return seen.reduce((count, { issuedAtMs }) => (issuedAtMs >= sinceMs ? count + 1 : count), 0)
}

/** When the target's cooldown ends, in epoch milliseconds; `undefined` when it is not in a cooldown. */
export function restsUntil({ cooldowns }: AdminMemory, target: CooldownTarget, nowMs: number): number | undefined {
  const cooldown = cooldowns.find((known) => known.target === target)
  return cooldown !== undefined && cooldown.expiresAtMs > nowMs ? cooldown.expiresAtMs : undefined
}

/** Returns the memory with one more accepted commit, and without entries that are too old to matter. */
export function remember(memory: AdminMemory, accepted: AcceptedCommit): AdminMemory {
  const { digest, issuedAtMs, acceptedAtMs, forgetBeforeMs, cooldown } = accepted
  const seen: SeenCommit[] = []
  let { forgottenBeforeMs } = memory
  for (const commit of memory.seen) {
    if (commit.issuedAtMs >= forgetBeforeMs) seen.push(commit)
    else forgottenBeforeMs = Math.max(forgottenBeforeMs, commit.issuedAtMs + 1)
  }
  seen.push({ digest, issuedAtMs })
  const cooldowns = memory.cooldowns.filter(
    ({ target, expiresAtMs }) => expiresAtMs > acceptedAtMs && target !== cooldown?.target,
  )
  if (cooldown !== undefined) cooldowns.push(cooldown)
  return { seen, forgottenBeforeMs, cooldowns }
}

/** The key of the only row. */
const memoryKey = 'memory'

/** The tables of this file: one row, the memory. */
export interface AdminMemoryRows {
  readonly adminMemory: Table<typeof memoryKey, AdminMemory>
}

/** The memory that decisions are based on: it includes accepted commits that are not durable yet. */
export function latestMemory({ adminMemory }: AdminMemoryRows): AdminMemory {
  return adminMemory.latest(memoryKey) ?? emptyAdminMemory
}

const targetSchema = v.union([v.literal('cluster'), nodeIdSchema], 'neither a node nor the cluster')
const cooldownSchema: v.GenericSchema<unknown, Cooldown> = strictSchema({
  target: targetSchema,
  expiresAtMs: naturalSchema,
})
const seenFields = { digest: digestSchema, issuedAtMs: naturalSchema }

const defineEvent = eventDefiner<AdminMemoryRows, unknown>()
const defineCommand = commandDefiner<unknown>()
const defineRow = rowDefiner<AdminMemoryRows, unknown>()

const acceptedFields = {
  ...seenFields,
  acceptedAtMs: naturalSchema,
  forgetBeforeMs: naturalSchema,
  cooldown: v.exactOptional(cooldownSchema),
}

/** A commit was accepted. */
export const commitAccepted = defineEvent('admin_commit_accepted', {
  fields: acceptedFields,
  evolve(draft, { digest, issuedAtMs, acceptedAtMs, forgetBeforeMs, cooldown }) {
    const { tables } = draft
    const accepted = { digest, issuedAtMs, acceptedAtMs, forgetBeforeMs, ...(cooldown !== undefined && { cooldown }) }
    draft.put(tables.adminMemory, memoryKey, remember(latestMemory(tables), accepted))
  },
})

/** Remembers an accepted commit. Use it in the batch that makes the effects of the commit durable. */
export const acceptCommit = defineCommand('admin_commit_accept', {
  fields: acceptedFields,
  decide: (_view, { type: _, ...accepted }, sequence) => ({
    event: commitAccepted.create(sequence, accepted),
    applied: undefined,
  }),
})

/** The whole memory as one row. */
export const adminMemoryRow = defineRow('admin_memory', {
  fields: {
    seen: v.array(strictSchema(seenFields)),
    forgottenBeforeMs: naturalSchema,
    cooldowns: v.array(cooldownSchema),
  },
  lists: ['seen', 'cooldowns'],
  capture: ({ adminMemory }) => adminMemory.captured(),
  restore(draft, memory) {
    const { adminMemory } = draft.tables
    const refuse = (field: string, reason: string): never => {
      throw new AdminError('admin.stored_invalid', { field, reason })
    }
    if (adminMemory.latest(memoryKey) !== undefined) refuse('admin_memory', 'there are two of it')
    if (new Set(memory.seen.map(({ digest }) => digest)).size < memory.seen.length) refuse('seen', 'a commit twice')
    if (new Set(memory.cooldowns.map(({ target }) => target)).size < memory.cooldowns.length) {
      refuse('cooldowns', 'a target twice')
    }
    draft.put(adminMemory, memoryKey, memory)
  },
})
