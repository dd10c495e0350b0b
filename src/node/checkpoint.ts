import * as v from 'valibot'
import { nameSchema, strictSchema, wholeNumberSchema } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { daemonRefSchema, type DaemonRef } from './daemon.js'
import { stateEventSchema, type IntentEvent, type ObservedEvent } from './event.js'
import type { ForcedEntries } from './forced.js'
import { chainIdSchema, daemonIdSchema, nodeIdSchema, type DaemonId, type NodeId } from './ids.js'
import { naturalSchema, textSchema } from './scalars.js'
import { maintenanceStatuses, type MaintenanceStatus } from './vocabulary.js'

/** Where a node was in its maintenance, in wall-clock time. */
export interface MaintenanceCheckpoint {
  readonly type: 'maintenance'
  readonly node: NodeId
  readonly status: MaintenanceStatus
  readonly sinceMs: number
  readonly deadlineMs?: number
  readonly reason?: string
  readonly isDrain?: true
}

/** What the loop folds again on restart. Every instant is wall-clock time in epoch milliseconds. */
export type CheckpointContent =
  /** An intent or an observation to fold again. */
  | { readonly type: 'intent'; readonly event: IntentEvent | ObservedEvent }
  | MaintenanceCheckpoint
  | { readonly type: 'freeze'; readonly untilMs: number }
  | { readonly type: 'cordon'; readonly node: NodeId }
  /** The closed gate of a daemon that has crashed. */
  | {
      readonly type: 'gate'
      readonly daemon: DaemonRef
      readonly untilMs: number
      readonly isCrashLooping: boolean
    }
  /** What operators have forced and no pass has acted on yet. */
  | ({ readonly type: 'forced' } & ForcedEntries)
  /** Daemons whose restart operators have asked for and that have not started since. */
  | { readonly type: 'restarts'; readonly daemons: readonly DaemonId[] }
  /** Maintenance, and nothing else, has paused the tasks of this process. */
  | { readonly type: 'tasks_paused' }
  /** How far the shared log of a cluster was read. */
  | { readonly type: 'cluster_position'; readonly clusterId: string; readonly sequence: number }

/** Something that must survive a restart (N-402). Only the latest checkpoint under a key counts. */
export interface Checkpoint {
  readonly key: string
  /** Number of the change that wrote it; checkpoints are folded in this order. */
  readonly seq: number
  readonly content: CheckpointContent
}

/** The tables of this file. */
export interface CheckpointRows {
  readonly checkpoints: Table<string, Checkpoint>
}

const contentSchema: v.GenericSchema<unknown, CheckpointContent> = v.variant('type', [
  strictSchema({ type: v.literal('intent'), event: stateEventSchema }),
  strictSchema({
    type: v.literal('maintenance'),
    node: nodeIdSchema,
    status: v.picklist(maintenanceStatuses),
    sinceMs: naturalSchema,
    deadlineMs: v.exactOptional(naturalSchema),
    reason: v.exactOptional(textSchema),
    isDrain: v.exactOptional(v.literal(true)),
  }),
  strictSchema({ type: v.literal('freeze'), untilMs: naturalSchema }),
  strictSchema({ type: v.literal('cordon'), node: nodeIdSchema }),
  strictSchema({
    type: v.literal('gate'),
    daemon: daemonRefSchema,
    untilMs: naturalSchema,
    isCrashLooping: v.boolean(),
  }),
  strictSchema({
    type: v.literal('forced'),
    evictions: v.array(strictSchema({ chain: chainIdSchema, victim: nodeIdSchema })),
    placements: v.array(strictSchema({ chain: chainIdSchema, target: nodeIdSchema })),
  }),
  strictSchema({ type: v.literal('restarts'), daemons: v.array(daemonIdSchema) }),
  strictSchema({ type: v.literal('tasks_paused') }),
  strictSchema({ type: v.literal('cluster_position'), clusterId: nameSchema, sequence: naturalSchema }),
])
const fields = { key: nameSchema, content: contentSchema }

const defineEvent = eventDefiner<CheckpointRows, unknown>()
const defineCommand = commandDefiner<unknown>()
const defineRow = rowDefiner<CheckpointRows, unknown>()

export const checkpointKept = defineEvent('checkpoint_kept', {
  fields,
  evolve: (draft, { sequence: seq, key, content }) => draft.put(draft.tables.checkpoints, key, { key, seq, content }),
})

export const checkpointForgotten = defineEvent('checkpoint_forgotten', {
  fields: { key: nameSchema },
  evolve: (draft, { key }) => draft.put(draft.tables.checkpoints, key, undefined),
})

export const keepCheckpoint = defineCommand('checkpoint_keep', {
  fields,
  decide: (_view, { type: _, ...payload }, sequence) => ({
    event: checkpointKept.create(sequence, payload),
    applied: sequence,
  }),
})

export const forgetCheckpoint = defineCommand('checkpoint_forget', {
  fields: { key: nameSchema },
  decide: (_view, { key }, sequence) => ({ event: checkpointForgotten.create(sequence, { key }), applied: sequence }),
})

export const checkpointRow = defineRow('checkpoint', {
  fields: { seq: wholeNumberSchema(1), ...fields },
  capture: ({ checkpoints }) => checkpoints.captured(),
  restore: (draft, checkpoint) => draft.put(draft.tables.checkpoints, checkpoint.key, checkpoint),
})
