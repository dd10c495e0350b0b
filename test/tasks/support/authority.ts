import { expect } from 'vitest'
import type { JsonObject } from '../../../src/base/json.js'
import { createMemoryJournal, type MemoryJournalStore } from '../../../src/journal/memory-journal.js'
import { Lane } from '../../../src/lane/lane.js'
import type { StateErrorData } from '../../../src/state/errors.js'
import { taskCatalogue } from '../../../src/tasks/catalogue.js'
import {
  TaskAuthority,
  type CommandType,
  type MutationOutcome,
  type TaskCommand,
  type TaskErrorData,
} from '../../../src/tasks/index.js'

/** Data of every error that commands, events and rows raise. */
export type ErrorData = TaskErrorData & StateErrorData

export interface OpenTasks {
  readonly authority: TaskAuthority
  readonly lane: Lane
  readonly store: MemoryJournalStore
}

/** An authority on a journal in memory, brought up to date with what the journal holds. */
export async function openTasks(store: MemoryJournalStore = createMemoryJournal()): Promise<OpenTasks> {
  const authority = new TaskAuthority()
  const lane = await Lane.open({ store, streamFor: () => authority })
  authority.start(lane)
  return { authority, lane, store }
}

/** Closes, and opens again on the same journal. */
export async function reopenTasks({ lane, store }: OpenTasks): Promise<OpenTasks> {
  await lane.close()
  return openTasks(store)
}

/** The events in the journal, in the names of the code. */
export async function factsIn(store: MemoryJournalStore): Promise<unknown[]> {
  const { journal, recovery } = await store.open()
  const facts = [...recovery.records].map(({ record }) => (record as readonly unknown[])[1])
  await journal.close()
  return facts.map((fact) => taskCatalogue.decode(fact as JsonObject))
}

/** The whole committed state as plain rows. */
export function stateOf({ authority }: Pick<OpenTasks, 'authority'>): unknown[] {
  return [...authority.capture()]
}

/** Submits one after another and expects each to be taken. */
export async function submitAll(
  { authority }: Pick<OpenTasks, 'authority'>,
  commands: readonly TaskCommand[],
): Promise<MutationOutcome[]> {
  const outcomes: MutationOutcome[] = []
  for (const command of commands) outcomes.push(await authority.submit<CommandType>(command))
  return outcomes
}

/** Expects a rejection with exactly this code and data. */
export async function expectRefusal<Code extends keyof ErrorData>(
  promise: Promise<unknown>,
  code: Code,
  data: ErrorData[Code],
): Promise<void> {
  const error: unknown = await promise.then(
    () => 'accepted',
    (reason: unknown) => reason,
  )
  expect(error).toMatchObject({ code })
  expect((error as { readonly data: unknown }).data).toEqual(data)
}
