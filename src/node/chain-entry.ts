import * as v from 'valibot'
import type { SequencedFeed } from '../base/feed.js'
import { wholeNumberSchema } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import { chainNames, chainRecordSchemas, type ChainName, type ChainRecords } from './chain-record.js'
import { epochIdSchema, type EpochId } from './ids.js'

/**
 * A record as stored in its chain. `seq` is the number within the chain: it increases across restarts, with gaps, and
 * orders the records. The number of the record itself starts again in every epoch (N-401).
 */
export interface ChainEntry<Content = ChainRecords[ChainName]> {
  readonly seq: number
  /** The epoch of the loop that wrote it. */
  readonly epoch: EpochId
  /** When it was written, in epoch milliseconds. */
  readonly atMs: number
  readonly record: Content
}

/** How much of a chain is kept; older records are dropped. */
export interface ChainRetention {
  /** Number of records; `Infinity` keeps all. */
  readonly records: number
  /** Maximum age in milliseconds, by the time stamps of the records; absent for no limit. */
  readonly ageMs?: number
}

/** The chains as feeds that can be read and followed. */
export type ChainFeeds = { readonly [Name in ChainName]: SequencedFeed<ChainEntry<ChainRecords[Name]>> }

/** The retention of each chain. */
export type ChainRetentions = Readonly<Record<ChainName, ChainRetention>>

/** The tables of this file. */
export interface ChainRows {
  readonly chains: ChainFeeds
  readonly retention: ChainRetentions
}

const defineEvent = eventDefiner<ChainRows, unknown>()
const defineCommand = commandDefiner<unknown>()
const defineRow = rowDefiner<ChainRows, unknown>()

/** Stages a record: its chain shows it once it is durable, and drops records beyond the retention. */
function stageEntry(draft: Draft<ChainRows, unknown>, name: ChainName, entry: ChainEntry): void {
  const { chains, retention } = draft.tables
  const chain = chains[name] as SequencedFeed<ChainEntry>
  const { ageMs } = retention[name]
  draft.add({
    commit: () => {
      chain.push(entry)
      if (ageMs !== undefined) chain.dropWhile(({ atMs }) => atMs < entry.atMs - ageMs)
    },
    undo: () => {},
  })
}

/** Defines how the records of one chain are written and read. */
function defineChain<Name extends ChainName>(name: Name) {
  const record = chainRecordSchemas[name] as v.GenericSchema<unknown, ChainRecords[ChainName]>
  const fields = { epoch: epochIdSchema, atMs: wholeNumberSchema(0), record }
  const recorded = defineEvent(`${name}_recorded`, {
    fields,
    evolve: (draft, { sequence: seq, epoch, atMs, record: content }) =>
      stageEntry(draft, name, { seq, epoch, atMs, record: content }),
  })
  return {
    event: recorded,
    command: defineCommand(`${name}_record`, {
      fields,
      decide: (_view, { type: _, ...payload }, sequence) => ({
        event: recorded.create(sequence, payload),
        applied: sequence,
      }),
    }),
    row: defineRow(`${name}_entry`, {
      fields: { seq: wholeNumberSchema(1), ...fields },
      capture: ({ chains }) => chains[name].rows(),
      // Raises `feed_sequence` for a record out of order.
      restore: (draft, entry) => stageEntry(draft, name, entry),
    }),
  }
}

/** The four chains. */
export const chainDefinitions = {
  action: defineChain('action'),
  failure: defineChain('failure'),
  audit: defineChain('audit'),
  log: defineChain('log'),
} as const

/** Which records retention has dropped from a chain, so that the gap is reported also after a restart. */
export const chainRetentionRow = defineRow('chain_retention', {
  fields: {
    chain: v.picklist(chainNames),
    droppedThrough: wholeNumberSchema(0),
    droppedCount: wholeNumberSchema(0),
  },
  capture: ({ chains }) =>
    chainNames.flatMap((chain) => {
      const { droppedThrough, droppedCount } = chains[chain]
      return droppedCount === 0 ? [] : [{ chain, droppedThrough, droppedCount }]
    }),
  restore: ({ tables }, { chain, droppedThrough, droppedCount }) =>
    tables.chains[chain].restoreRetention(droppedThrough, droppedCount),
})
