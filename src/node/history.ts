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
  appendToChain,
  chainAppended,
  chainEntryRow,
  chainNames,
  chainRetentionRow,
  type ChainEntry,
  type ChainName,
  type ChainRetention,
  type ChainRows,
} from './chain-entry.js'
import { factForgotten, factKept, factRow, forgetFact, keepFact, type Fact, type FactRows } from './fact.js'

const events = [chainAppended, factKept, factForgotten] as const
const commands = [appendToChain, keepFact, forgetFact] as const
type HistoryEvent = EventOf<(typeof events)[number]>
type HistoryCommand = CommandOf<(typeof commands)[number]>

/** How much of each chain is kept. */
export type ChainRetentions = Readonly<Record<ChainName, ChainRetention>>

const day = 24 * 60 * 60 * 1000

/** Every audit record is kept; the others have bounds. */
export const defaultRetention: ChainRetentions = {
  action: { records: 10_000 },
  failure: { records: 10_000 },
  audit: { records: Number.POSITIVE_INFINITY },
  log: { records: 10_000, ageMs: 7 * day },
}

/** What a node keeps over restarts. */
interface HistoryTables extends ChainRows, FactRows {
  readonly sequence: SequenceCounter
}

const historyCatalogue = new Catalogue<HistoryTables, unknown, HistoryEvent, HistoryCommand>({
  subject: 'node',
  events,
  commands,
  rows: [chainRetentionRow, chainEntryRow, factRow],
})

/** A change of the facts: what is kept from now on, and the keys of what counts no more. */
export interface FactChange {
  readonly keep?: Pick<Fact, 'key' | 'atMs' | 'event'>
  readonly forget?: readonly string[]
}

/**
 * What a node keeps over restarts: the records of its chains, and the facts that its loop folds again when it starts. A
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
    ) as Record<ChainName, SequencedFeed<ChainEntry>>
    this.#tables = { sequence: new SequenceCounter(), chains, retention: retentions, facts: new Table<string, Fact>() }
    this.#stream = new EventStream<HistoryTables, unknown, HistoryEvent, HistoryCommand>({
      name: this.name,
      catalogue: historyCatalogue,
      tables: this.#tables,
      latest: undefined,
      ...(logger !== undefined && { logger }),
    })
  }

  /** Takes records and facts from now on. */
  start(lane: Lane): void {
    this.#stream.start(lane)
  }

  /** The records of a chain that are durable, those of earlier epochs included. */
  chain(name: ChainName): SequencedFeed<ChainEntry> {
    return this.#tables.chains[name]
  }

  /** The facts in the order in which they came about. */
  facts(): readonly Fact[] {
    return [...this.#tables.facts.rows()].toSorted((one, other) => one.seq - other.seq)
  }

  /** The fact under a key as it will be once what is under way is durable. */
  fact(key: string): Fact | undefined {
    return this.#tables.facts.latest(key)
  }

  /** Resolves with the number of the record once it is durable. Rejects with the errors of the lane. */
  append(chain: ChainName, epoch: string, atMs: number, record: JsonObject): Promise<unknown> {
    return this.#stream.transact((batch) => batch.take({ type: 'chain_append', chain, epoch, atMs, record }).sequence)
  }

  /** Resolves once the change is durable. Rejects with the errors of the lane. */
  change({ keep, forget = [] }: FactChange): Promise<void> {
    return this.#stream.transact((batch) => {
      for (const key of forget) if (this.fact(key) !== undefined) batch.take({ type: 'fact_forget', key })
      if (keep !== undefined) batch.take({ type: 'fact_keep', ...keep })
    })
  }

  /** Ends the feeds of the chains: nothing follows. */
  close(): void {
    for (const name of chainNames) this.chain(name).close()
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
