import { isDeepStrictEqual } from 'node:util'
import { SequencedFeed } from '../base/feed.js'
import type { JsonObject } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import type { Lane } from '../lane/lane.js'
import type { LaneStream } from '../lane/types.js'
import { Catalogue, type CommandOf, type EventOf } from '../state/catalogue.js'
import { SequenceCounter } from '../state/sequence.js'
import { EventStream } from '../state/stream.js'
import { Table } from '../state/table.js'
import {
  acceptCommit,
  adminMemoryRow,
  commitAccepted,
  latestMemory,
  type AcceptedCommit,
  type AdminMemory,
  type AdminMemoryRows,
} from './admin/index.js'
import {
  chainDefinitions,
  chainRetentionRow,
  type ChainEntry,
  type ChainFeeds,
  type ChainRetentions,
  type ChainRows,
} from './chain-entry.js'
import { chainNames, type ChainName, type ChainRecords } from './chain-record.js'
import {
  checkpointForgotten,
  checkpointKept,
  checkpointRow,
  forgetCheckpoint,
  keepCheckpoint,
  type Checkpoint,
  type CheckpointContent,
  type CheckpointRows,
} from './checkpoint.js'
import type { EpochId } from './ids.js'

const { action, failure, audit, log } = chainDefinitions
const events = [
  action.event,
  failure.event,
  audit.event,
  log.event,
  checkpointKept,
  checkpointForgotten,
  commitAccepted,
] as const
const commands = [
  action.command,
  failure.command,
  audit.command,
  log.command,
  keepCheckpoint,
  forgetCheckpoint,
  acceptCommit,
] as const
type HistoryEvent = EventOf<(typeof events)[number]>
type HistoryCommand = CommandOf<(typeof commands)[number]>

const day = 24 * 60 * 60 * 1000

/** Every audit record is kept; the others have bounds. */
export const defaultRetention: ChainRetentions = {
  action: { records: 10_000 },
  failure: { records: 10_000 },
  audit: { records: Number.POSITIVE_INFINITY },
  log: { records: 10_000, ageMs: 7 * day },
}

/** What a node keeps over restarts. */
interface HistoryTables extends ChainRows, CheckpointRows, AdminMemoryRows {
  readonly sequence: SequenceCounter
}

const historyCatalogue = new Catalogue<HistoryTables, unknown, HistoryEvent, HistoryCommand>({
  subject: 'node',
  events,
  commands,
  rows: [chainRetentionRow, action.row, failure.row, audit.row, log.row, checkpointRow, adminMemoryRow],
})

/** One of its transactions. */
type HistoryBatch = Parameters<
  Parameters<EventStream<HistoryTables, unknown, HistoryEvent, HistoryCommand>['transact']>[0]
>[0]

/** A change of the checkpoints: what is kept from now on, and the keys of what counts no more. */
export interface CheckpointChange {
  readonly keep?: readonly { readonly key: string; readonly content: CheckpointContent }[]
  readonly forget?: readonly string[]
  /** What administration has to remember of the commit that this follows from. */
  readonly accepted?: AcceptedCommit
}

/**
 * What a node keeps over restarts: the records of its chains, and the checkpoints that its loop folds again when it starts. A
 * stream of the lane, as the other rooms have theirs; without a journal it lives as long as the runtime.
 */
export class NodeHistory implements LaneStream {
  /** Name of its stream in the journal. */
  static readonly streamName = 'node'
  readonly name = NodeHistory.streamName
  readonly #tables: HistoryTables
  readonly #stream: EventStream<HistoryTables, unknown, HistoryEvent, HistoryCommand>

  constructor({
    logger,
    retention = {},
  }: { readonly logger?: Logger; readonly retention?: Partial<ChainRetentions> } = {}) {
    const retentions = { ...defaultRetention, ...retention }
    const chains = Object.fromEntries(
      chainNames.map((name) => [name, new SequencedFeed<ChainEntry>(retentions[name].records, logger)]),
    ) as unknown as ChainFeeds
    this.#tables = {
      sequence: new SequenceCounter(),
      chains,
      retention: retentions,
      checkpoints: new Table<string, Checkpoint>(),
      adminMemory: new Table(),
    }
    this.#stream = new EventStream<HistoryTables, unknown, HistoryEvent, HistoryCommand>({
      name: this.name,
      catalogue: historyCatalogue,
      tables: this.#tables,
      latest: undefined,
      ...(logger !== undefined && { logger }),
    })
  }

  /** Takes records and checkpoints from now on. */
  start(lane: Lane): void {
    this.#stream.start(lane)
  }

  /** The records of each chain that are durable, those of earlier epochs included. */
  get chains(): ChainFeeds {
    return this.#tables.chains
  }

  /** The checkpoints in the order in which they came about. */
  checkpoints(): readonly Checkpoint[] {
    return [...this.#tables.checkpoints.rows()].toSorted((one, other) => one.seq - other.seq)
  }

  /** The checkpoint under a key as it will be once what is under way is durable. */
  checkpoint(key: string): Checkpoint | undefined {
    return this.#tables.checkpoints.latest(key)
  }

  /** What administration remembers, with what is not durable yet. */
  get adminMemory(): AdminMemory {
    return latestMemory(this.#tables)
  }

  /**
   * Resolves with the number of the record once it is durable, together with a change of what is not to be forgotten. Rejects with
   * the errors of the lane.
   */
  append<Name extends ChainName>(
    chain: Name,
    epoch: EpochId,
    atMs: number,
    record: ChainRecords[Name],
    change: CheckpointChange = {},
  ): Promise<number> {
    // Which record goes with which command, the two schemas know.
    const command = { type: `${chain}_record`, epoch, atMs, record } as HistoryCommand
    return this.#stream.transact((batch) => {
      const { sequence } = batch.take(command)
      this.#takeChange(batch, change)
      return sequence
    })
  }

  /** Resolves once the change is durable. Rejects with the errors of the lane. */
  change(change: CheckpointChange): Promise<void> {
    return this.#stream.transact((batch) => this.#takeChange(batch, change))
  }

  #takeChange(batch: HistoryBatch, { keep = [], forget = [], accepted }: CheckpointChange): void {
    for (const key of forget) if (this.checkpoint(key) !== undefined) batch.take({ type: 'checkpoint_forget', key })
    if (accepted !== undefined) batch.take({ type: 'admin_commit_accept', ...accepted })
    for (const { key, content } of keep)
      if (!this.#isKnown(key, content)) batch.take({ type: 'checkpoint_keep', key, content })
  }

  /** What says nothing new is not written again. */
  #isKnown(key: string, content: CheckpointContent): boolean {
    const known = this.checkpoint(key)
    return known !== undefined && isDeepStrictEqual(known.content, content)
  }

  /** Ends the feeds of the chains: nothing follows. */
  close(): void {
    for (const name of chainNames) this.chains[name].close()
  }

  /** @internal Part of {@link LaneStream}. */
  restore(row: JsonObject): void {
    this.#stream.restore(row)
  }

  /** @internal Part of {@link LaneStream}. */
  replay(stored: JsonObject): void {
    this.#stream.replay(stored)
  }

  /** @internal Part of {@link LaneStream}. */
  capture(): Iterable<JsonObject> {
    return this.#stream.capture()
  }
}
