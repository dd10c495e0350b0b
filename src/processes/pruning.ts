import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { takeFilter, matches, type ProcessListFilter } from './list-filter.js'
import type { ProcessRecord, StoredProcess } from './record.js'
import { idSchema, take, takeBound, type ProcessId } from './scalars.js'
import { isTerminalProcessStatus, terminalProcessStatuses, type TerminalProcessStatus } from './vocabulary.js'

/** How far somebody has read the changes of a store: opaque, and of use in that store alone. `''` is the start. */
export type ChangeCursor = string

/** What nobody may be deprived of: changes after the cursor have not been read yet; `no_projector` says nobody reads. */
export type Watermark = { readonly type: 'up_to'; readonly cursor: ChangeCursor } | { readonly type: 'no_projector' }

/** Changes up to the cursor have been read. */
export function upTo(cursor: ChangeCursor): Watermark {
  return { type: 'up_to', cursor }
}

/** Nobody reads the changes. */
export const noProjector: Watermark = Object.freeze({ type: 'no_projector' })

/** What may be pruned. */
export interface PruneOptions {
  /** Narrows what is pruned; `status` is `any` unless told, and what still runs is never pruned. */
  readonly filter?: ProcessListFilter
  /** These alone, found without a look at the others. Default: every process. */
  readonly ids?: readonly ProcessId[]
  /** Has no default: without it, history that nobody has read yet would be destroyed in silence. */
  readonly watermark: Watermark
}

/** What was pruned. */
export interface PruneReport {
  readonly prunedProcesses: number
  readonly prunedEvents: number
}

/** What remains of a pruned process, without any of its data. */
export interface Tombstone {
  readonly processId: ProcessId
  readonly terminalLabel: TerminalProcessStatus
  readonly prunedAtMs: number
}

/** One change of the store: how a process stands now, or that it was pruned. */
export type ProcessChange =
  | { readonly type: 'record'; readonly record: ProcessRecord }
  | { readonly type: 'pruned'; readonly tombstone: Tombstone }

/** Changes after a cursor, oldest first, each process once at its last change; the cursor to go on from. */
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

/** A pruning that was taken. */
export interface TakenPrune {
  readonly cutoffMs: number
  readonly filter: ProcessListFilter
  readonly ids?: readonly ProcessId[] | undefined
  readonly watermark: Watermark
}

/** Takes what somebody wants pruned; a cutoff beyond every instant is none. Raises `invalid_input` naming the field. */
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

/** Takes what somebody wants compacted. Raises `invalid_input` naming the field. */
export function takeCompaction(options: unknown): Pick<TakenPrune, 'watermark' | 'ids'> {
  const optionsSchema = strictSchema({ ids: v.exactOptional(idsSchema), watermark: watermarkSchema })
  const { ids, watermark } = take(optionsSchema, options, 'compaction options')
  return { ids, watermark }
}

/** How a process stands beside its record, when it is a question whether it may go. */
export interface PruneFacts {
  /** Whether its last change lies within the watermark. */
  readonly isRead: boolean
  /** Whether it has wakes that have a target and were not acknowledged. */
  readonly hasPendingWakes: boolean
}

/**
 * Whether a process may be pruned (P-55): it has ended, nothing has happened to it since the cutoff, whoever reads the
 * changes has read its last one, and no wake of it waits to be delivered.
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

/** What remains of a process that is pruned now. */
export function tombstoneOf({ registered, state }: StoredProcess, prunedAtMs: number): Tombstone {
  const { status } = state
  if (!isTerminalProcessStatus(status)) throw new TypeError(`process ${registered.id} is ${status}`)
  return { processId: registered.id, terminalLabel: status, prunedAtMs }
}
