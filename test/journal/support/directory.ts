import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { JournalRecord, JournalStore, ReplayedRecord } from '../../../src/journal/journal.js'

/** A place for one journal; it goes when the test ends. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'stateward-journal-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  return join(directory, 'journal')
}

/** Every file of a directory with its content, lock files left out. */
export async function contentOf(directory: string): Promise<Record<string, string>> {
  const content: Record<string, string> = {}
  for (const name of (await readdir(directory)).sort()) {
    if (!name.startsWith('lock')) content[name] = (await readFile(join(directory, name))).toString('latin1')
  }
  return content
}

/**
 * Makes a directory that was closed look as a crash leaves it: nothing says any more where the log ends. The lock file
 * that says it is that of nobody.
 */
export async function forgetClosing(directory: string): Promise<void> {
  for (const name of await readdir(directory)) if (name.startsWith('lock')) await rm(join(directory, name))
}

/** Names in a directory without lock files. */
export async function namesIn(directory: string): Promise<string[]> {
  return Object.keys(await contentOf(directory))
}

/** Appends each group by a call of its own, one after another, in a journal that is opened for it. */
export async function appendTo(store: JournalStore, ...groups: readonly JournalRecord[][]): Promise<void> {
  const { journal } = await store.open()
  for (const group of groups) await journal.append(group)
  await journal.close()
}

/** What a journal gives back when it is opened. */
export async function recordsOf(store: JournalStore): Promise<readonly ReplayedRecord[]> {
  const { journal, recovery } = await store.open()
  try {
    return [...recovery.records]
  } finally {
    await journal.close()
  }
}

/** The same without sequences. */
export async function valuesOf(store: JournalStore): Promise<readonly JournalRecord[]> {
  return (await recordsOf(store)).map(({ record }) => record)
}
