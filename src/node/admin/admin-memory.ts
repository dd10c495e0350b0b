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

/** A commit that was accepted and is refused when it comes again. */
export interface SeenCommit {
  /** Of what was signed. Who signed it plays no part: other signatures of the same are the same commit. */
  readonly digest: Digest
  readonly issuedAtMs: number
}

/**
 * What administration has to remember, in memory and over a restart: which commits were accepted, and what rests after
 * them. A value that never changes; {@link remember} makes the next one.
 */
export interface AdminMemory {
  /** In the order in which they were accepted. */
  readonly seen: readonly SeenCommit[]
  /**
   * What was issued before is refused, whatever the clock says by now: a commit of that time may have been accepted and
   * forgotten (N-312).
   */
  readonly forgottenBeforeMs: number
  readonly cooldowns: readonly Cooldown[]
}

/** What is to be remembered of a commit that was accepted; it becomes durable together with what the commit does. */
export interface AcceptedCommit extends SeenCommit {
  /** The instant by which it was judged, in epoch milliseconds. */
  readonly acceptedAtMs: number
  /** Commits that were issued before need no place in memory any more: they are not fresh. */
  readonly forgetBeforeMs: number
  /** What rests from now on. */
  readonly cooldown?: Cooldown
}

/** Nothing was ever accepted. */
export const emptyAdminMemory: AdminMemory = Object.freeze({
  seen: Object.freeze([]),
  forgottenBeforeMs: 0,
  cooldowns: Object.freeze([]),
})

/** Whether a commit with this digest was accepted, as far as memory goes. */
export function hasSeen({ seen }: AdminMemory, digest: Digest): boolean {
  return seen.some((commit) => commit.digest === digest)
}

/** How many places are taken by commits that were issued at or after an instant. */
export function seenSince({ seen }: AdminMemory, sinceMs: number): number {
  return seen.reduce((count, { issuedAtMs }) => (issuedAtMs >= sinceMs ? count + 1 : count), 0)
}

/** When a target has rested; `undefined` when it does not rest at this instant. */
export function restsUntil({ cooldowns }: AdminMemory, target: CooldownTarget, nowMs: number): number | undefined {
  const cooldown = cooldowns.find((known) => known.target === target)
  return cooldown !== undefined && cooldown.expiresAtMs > nowMs ? cooldown.expiresAtMs : undefined
}

/** The memory with one more accepted commit, and without what has become too old to matter. */
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

/** The key of the one row. */
const memoryKey = 'memory'

/** Tables of this file: one row, the memory. */
export interface AdminMemoryRows {
  readonly adminMemory: Table<typeof memoryKey, AdminMemory>
}

/** The memory that decisions are made by: with what is accepted and not durable yet. */
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

/** Remembers an accepted commit; take it into the batch that makes durable what the commit does. */
export const acceptCommit = defineCommand('admin_commit_accept', {
  fields: acceptedFields,
  decide: (_view, { type: _, ...accepted }, sequence) => ({
    event: commitAccepted.create(sequence, accepted),
    applied: undefined,
  }),
})

/** The whole memory. */
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
