import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { takeFilter, matches, type ProcessListFilter } from './list-filter.js'
import type { ProcessRecord, StoredProcess } from './record.js'
import { idSchema, take, takeBound, type ProcessId } from './scalars.js'
import { isTerminalProcessStatus, terminalProcessStatuses, type TerminalProcessStatus } from './vocabulary.js'

/** How far a reader has read the changes of a store. Opaque, and valid only for that store. `''` is the start. */
export type ChangeCursor = string

/**
 * Protects changes that are not read yet: `up_to` keeps everything after the cursor, `no_projector` says that there is
 * no reader.
 */
export type Watermark = { readonly type: 'up_to'; readonly cursor: ChangeCursor } | { readonly type: 'no_projector' }

/** The watermark for changes read up to the cursor. */
export function upTo(cursor: ChangeCursor): Watermark {
  return { type: 'up_to', cursor }
}

/** The watermark if there is no reader of changes. */
export const noProjector: Watermark = Object.freeze({ type: 'no_projector' })

/** Options of pruning. */
export interface PruneOptions {
  /** Limits what is pruned. `status` defaults to `any`. A running process is never pruned. */
  readonly filter?: ProcessListFilter
  /** Prunes only these, without scanning the others. Default: all processes. */
  readonly ids?: readonly ProcessId[]
  /** Required, because a default could silently destroy history that is not read yet. */
  readonly watermark: Watermark
}

/** What was pruned. */
export interface PruneReport {
  readonly prunedProcesses: number
  readonly prunedEvents: number
}

/** What remains of a pruned process. It contains none of its data. */
export interface Tombstone {
  readonly processId: ProcessId
  readonly terminalLabel: TerminalProcessStatus
  readonly prunedAtMs: number
}

/** One change in the store: the current record of a process, or its tombstone. */
export type ProcessChange =
  | { readonly type: 'record'; readonly record: ProcessRecord }
  | { readonly type: 'pruned'; readonly tombstone: Tombstone }

/** Changes after a cursor, oldest first, each process once with its last change, and the cursor of the next page. */
export type ChangePage = readonly [changes: readonly ProcessChange[], nextCursor: ChangeCursor]

const watermarkSchema: v.GenericSchema<unknown, Watermark> = v.variant('type', [
  strictSchema({ type: v.literal('up_to'), cursor: v.string() }),
  strictSchema({ type: v.literal('no_projector') }),
])

/** The shape of a {@link Tombstone}. */
export const tombstoneSchema: v.GenericSchema<unknown, Tombstone> = strictSchema({
  processId: idSchema,
  terminalLabel: v.picklist(terminalProcessStatuses),
  prunedAtMs: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
})

const idsSchema = v.array(idSchema, 'not a list')

/** Checked options of a pruning. */
export interface TakenPrune {
  readonly cutoffMs: number
  readonly filter: ProcessListFilter
  readonly ids?: readonly ProcessId[] | undefined
  readonly watermark: Watermark
}

/**
 * Checks and copies pruning options. A cutoff beyond the largest instant means no cutoff. Raises `invalid_input` naming
 * the field.
 */
export function takePrune(cutoffMs: unknown, options: unknown): TakenPrune {
  const optionsSchema = strictSchema({
    filter: v.exactOptional(v.unknown()),
    ids: v.exactOptional(idsSchema),
    watermark: watermarkSchema,
  })
  const { filter = {}, ids, watermark } = take(optionsSchema, options, 'prune options')
  const taken = takeFilter(filter)
  return { cutoffMs: takeBound(cutoffMs, 'prune cutoff'), filter: { status: 'any', ...taken }, ids, watermark }
}

/** Checks and copies compaction options. Raises `invalid_input` naming the field. */
export function takeCompaction(options: unknown): Pick<TakenPrune, 'watermark' | 'ids'> {
  const optionsSchema = strictSchema({ ids: v.exactOptional(idsSchema), watermark: watermarkSchema })
  const { ids, watermark } = take(optionsSchema, options, 'compaction options')
  return { ids, watermark }
}

/** What else decides whether a process may be pruned. */
export interface PruneFacts {
  /** Whether the watermark covers its last change. */
  readonly isRead: boolean
  /** Whether it has unacknowledged wakes with a target. */
  readonly hasPendingWakes: boolean
}

/**
 * Whether a process may be pruned (P-55): it has ended, it has not changed since the cutoff, readers of changes have
 * read its last change, and it has no pending wakes.
 */
export function isPrunable(stored: StoredProcess, { cutoffMs, filter }: TakenPrune, facts: PruneFacts): boolean {
  return (
    stored.state.status !== 'running' &&
    (stored.state.updatedAtMs < cutoffMs || cutoffMs === Number.MAX_SAFE_INTEGER) &&
    facts.isRead &&
    !facts.hasPendingWakes &&
    matches(filter, stored)
  )
}

/** The tombstone of a process that is pruned now. */
export function tombstoneOf({ registered, state }: StoredProcess, prunedAtMs: number): Tombstone {
  const { status } = state
  if (!isTerminalProcessStatus(status)) throw new TypeError(`process ${registered.id} is ${status}`)
  return { processId: registered.id, terminalLabel: status, prunedAtMs }
}
