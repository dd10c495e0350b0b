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
 * A record as its chain keeps it. `seq` is the chain's own number: it grows over restarts, with gaps, and orders the records. That
 * of the record itself begins anew in every epoch (N-401).
 */
export interface ChainEntry<Content = ChainRecords[ChainName]> {
  readonly seq: number
  /** The life of the loop that wrote it. */
  readonly epoch: EpochId
  /** Epoch milliseconds at which it was written. */
  readonly atMs: number
  readonly record: Content
}

/** How much of a chain is kept; what is older goes. */
export interface ChainRetention {
  /** Records; `Infinity` keeps all of them. */
  readonly records: number
  /** Milliseconds, by the clock of the records; absent: however old they are. */
  readonly ageMs?: number
}

/** The chains as they can be read and followed. */
export type ChainFeeds = { readonly [Name in ChainName]: SequencedFeed<ChainEntry<ChainRecords[Name]>> }

/** How much of each chain is kept. */
export type ChainRetentions = Readonly<Record<ChainName, ChainRetention>>

/** Tables of this file. */
export interface ChainRows {
  readonly chains: ChainFeeds
  readonly retention: ChainRetentions
}

const defineEvent = eventDefiner<ChainRows, unknown>()
const defineCommand = commandDefiner<unknown>()
const defineRow = rowDefiner<ChainRows, unknown>()

/** Stages a record: its chain shows it once it is durable, and lets go of what is too old or too much. */
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

/** How the records of one chain are written and read back. */
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
      // Raises `feed_sequence` for one out of order.
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

/** What retention has dropped from a chain, if anything: told as a gap also after a restart. */
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
