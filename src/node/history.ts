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

/** Audit records are all kept; the others are bounded. */
export const defaultRetention: ChainRetentions = {
  action: { records: 10_000 },
  failure: { records: 10_000 },
  audit: { records: Number.POSITIVE_INFINITY },
  log: { records: 10_000, ageMs: 7 * day },
}

/** What a node keeps across restarts. */
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

/** A change of the checkpoints: those to write, and the keys of those to remove. */
export interface CheckpointChange {
  readonly keep?: readonly { readonly key: string; readonly content: CheckpointContent }[]
  readonly forget?: readonly string[]
  /** What administration must remember of the commit that caused the change. */
  readonly accepted?: AcceptedCommit
}

/**
 * What a node keeps across restarts: the records of its chains, and the checkpoints that its loop folds when it starts.
 * It is a stream of the lane, like those of the other rooms; without a journal it lives as long as the runtime.
 */
export class NodeHistory implements LaneStream {
  /** The name of its stream in the journal. */
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

  /** Connects it to the lane; records and checkpoints are accepted from now on. */
  start(lane: Lane): void {
    this.#stream.start(lane)
  }

  /** The durable records of each chain, including earlier epochs. */
  get chains(): ChainFeeds {
    return this.#tables.chains
  }

  /** The checkpoints in the order they were written. */
  checkpoints(): readonly Checkpoint[] {
    return [...this.#tables.checkpoints.rows()].toSorted((one, other) => one.seq - other.seq)
  }

  /** The latest checkpoint under a key, including one that is not durable yet. */
  checkpoint(key: string): Checkpoint | undefined {
    return this.#tables.checkpoints.latest(key)
  }

  /** What administration remembers, including what is not durable yet. */
  get adminMemory(): AdminMemory {
    return latestMemory(this.#tables)
  }

  /**
   * Appends a record, together with a change of the checkpoints. Resolves with the number of the record once both are
   * durable. Rejects with the errors of the lane.
   */
  append<Name extends ChainName>(
    chain: Name,
    epoch: EpochId,
    atMs: number,
    record: ChainRecords[Name],
    change: CheckpointChange = {},
  ): Promise<number> {
    // The two schemas ensure that the record matches the command.
    const command = { type: `${chain}_record`, epoch, atMs, record } as HistoryCommand
    return this.#stream.transact((batch) => {
      const { sequence } = batch.take(command)
      this.#takeChange(batch, change)
      return sequence
    })
  }

  /** Changes checkpoints; resolves once that is durable. Rejects with the errors of the lane. */
  change(change: CheckpointChange): Promise<void> {
    return this.#stream.transact((batch) => this.#takeChange(batch, change))
  }

  #takeChange(batch: HistoryBatch, { keep = [], forget = [], accepted }: CheckpointChange): void {
    for (const key of forget) if (this.checkpoint(key) !== undefined) batch.take({ type: 'checkpoint_forget', key })
    if (accepted !== undefined) batch.take({ type: 'admin_commit_accept', ...accepted })
    for (const { key, content } of keep)
      if (!this.#isKnown(key, content)) batch.take({ type: 'checkpoint_keep', key, content })
  }

  /** A checkpoint that says nothing new is not written again. */
  #isKnown(key: string, content: CheckpointContent): boolean {
    const known = this.checkpoint(key)
    return known !== undefined && isDeepStrictEqual(known.content, content)
  }

  /** Ends the feeds of the chains. */
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
