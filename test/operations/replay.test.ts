import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { liveStatuses } from '../../machines/operation-vocabulary.js'
import type { JsonObject } from '../../src/base/json.js'
import type { Journal, JournalRecord, JournalRecovery, JournalStore } from '../../src/journal/journal.js'
import { createMemoryJournal, type MemoryJournalStore } from '../../src/journal/memory-journal.js'
import type { WireOperationsSnapshot } from '../../src/operations/index.js'
import { createRuntime } from '../../src/runtime.js'
import type { Session } from '../../src/operations/session.js'
import { OperationsOracle } from '../../src/testing/operations/oracle.js'
import { flushStep, type JournalStep } from './support/model/journal-steps.js'
import { JournalledOperations } from './support/model/journalled-operations.js'
import { journalledSteps } from './support/model/search.js'

const isLong = process.env['STATEWARD_LONG'] === '1'

/** A journal in memory that also keeps every group it was given. */
function recordingStore(groups: JournalRecord[][]): MemoryJournalStore {
  const store = createMemoryJournal()
  return {
    crash: () => store.crash(),
    failNext: (stage) => store.failNext(stage),
    open: async () => {
      const { journal, recovery } = await store.open()
      return { journal: recording(journal, groups), recovery }
    },
  }
}

function recording(journal: Journal, groups: JournalRecord[][]): Journal {
  return {
    get nextSequence() {
      return journal.nextSequence
    },
    get tailLength() {
      return journal.tailLength
    },
    append: (records) => {
      if (records.length > 0) groups.push(structuredClone([...records]))
      return journal.append(records)
    },
    settled: () => journal.settled(),
    compact: (snapshot) => journal.compact(snapshot),
    reopen: () => journal.reopen(),
    close: () => journal.close(),
  }
}

/** A store that was left with these snapshot rows and the records after them. */
function leftWith(groups: readonly JournalRecord[][], rows?: readonly JournalRecord[]): JournalStore {
  const recovery: JournalRecovery = {
    ...(rows !== undefined && { snapshot: { through: 0, rows } }),
    records: groups.flat().map((record, index) => ({ sequence: index + 1, record })),
  }
  return { open: async () => ({ ...(await createMemoryJournal().open()), recovery }) }
}

/**
 * What must not depend on the process having died: ended operations with all their facts, the feed, counters and cursors.
 * Of what had not ended only its name is durable, and whether it had started.
 */
function pictureOf({ history }: Session): object {
  const { authority_state: authority, ...rest } = history.exported() as unknown as WireOperationsSnapshot
  const operations = Object.entries(authority.operations).map(([id, record]) => {
    if (!(liveStatuses as readonly string[]).includes(record.status)) return [id, record]
    const { kind, operation_source: source } = record
    return [id, { kind, source, status: record.status === 'provisioning' ? 'provisioning' : 'running' }]
  })
  return { ...rest, authority: { ...authority, operations: Object.fromEntries(operations) } }
}

/** The state after a step: how much had been journalled, what it looked like, what a snapshot would have held. */
interface Moment {
  readonly step: string
  readonly groupCount: number
  readonly picture: object
  readonly rows: readonly JournalRecord[]
}

function momentOf(step: string, groups: readonly JournalRecord[][], session: Session): Moment {
  const rows = [...session.history.capture()].map((row): JournalRecord => [session.history.name, row])
  return structuredClone({ step, groupCount: groups.length, picture: pictureOf(session), rows })
}

/** Steps that end a life or break the journal are not part of one history. */
const isPartOfOneLife = ({ name }: JournalStep): boolean =>
  !/power|restart|move by snapshot|the write is refused|the sync fails|forget lost/.test(name)

/** Runs the steps one after another, each durable before the next, and says how things stood after each. */
async function live(
  maxCompleted: number,
  steps: readonly JournalStep[],
): Promise<{ groups: JournalRecord[][]; moments: Moment[] }> {
  const groups: JournalRecord[][] = []
  const system = await JournalledOperations.open({ maxCompleted }, recordingStore(groups))
  const oracle = new OperationsOracle({ maxCompleted })
  const moments = [momentOf('open', groups, system.session)]
  for (const step of steps) {
    if (!isPartOfOneLife(step) || step.isPossible?.(oracle) === false) continue
    await step.run(oracle, system)
    await flushStep().run(oracle, system)
    moments.push(momentOf(step.name, groups, system.session))
  }
  // Closing ends what still runs, which is no part of the history.
  const journalled = [...groups]
  await system.close()
  return { groups: journalled, moments }
}

async function replayed(store: JournalStore): Promise<object> {
  const runtime = await createRuntime({ store })
  const picture = structuredClone(pictureOf(runtime.session('model')))
  await runtime.close()
  return picture
}

const histories = fc.record({
  maxCompleted: fc.integer({ min: 1, max: 3 }),
  steps: fc.array(fc.oneof(...journalledSteps(fc).map(([weight, arbitrary]) => ({ weight, arbitrary }))), {
    maxLength: isLong ? 80 : 40,
    size: 'max',
  }),
})

const isNote = (group: readonly JournalRecord[] | undefined): boolean =>
  group?.every((record) => ((record as readonly JsonObject[])[1] as JsonObject)['type'] !== 'operation_ended') ?? false

describe('replay', () => {
  it('equals the live registry at every prefix of the journal', { timeout: isLong ? 3_600_000 : 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(histories, async ({ maxCompleted, steps }) => {
        const { groups, moments } = await live(maxCompleted, steps)
        for (const { step, groupCount, picture } of moments) {
          expect({ step, ...(await replayed(leftWith(groups.slice(0, groupCount)))) }).toEqual({ step, ...picture })
        }
      }),
      { numRuns: isLong ? 5000 : 40 },
    )
  })

  it('equals it from every snapshot on, also when the last notes before it come again', {
    timeout: isLong ? 3_600_000 : 60_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(histories, async ({ maxCompleted, steps }) => {
        const { groups, moments } = await live(maxCompleted, steps)
        const { picture } = moments.at(-1) as Moment
        for (const { step, groupCount, rows } of moments) {
          expect({ step, ...(await replayed(leftWith(groups.slice(groupCount), rows))) }).toEqual({ step, ...picture })
          let from = groupCount
          while (isNote(groups[from - 1])) from -= 1
          expect({ step, ...(await replayed(leftWith(groups.slice(from), rows))) }).toEqual({ step, ...picture })
        }
      }),
      { numRuns: isLong ? 5000 : 25 },
    )
  })
})
