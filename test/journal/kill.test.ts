import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import type { JournalRecord } from '../../src/journal/journal.js'
import { compileChild, type CompiledChild } from './support/compiled-child.js'
import { namesIn, temporaryDirectory } from './support/directory.js'
import { isLong, timeout } from './support/long.js'

/** Kills per directory and directories at once; each kill finds the leftovers of those before it. */
const kills = isLong ? 2_000 : 104
const lanes = 2

let writer: CompiledChild
beforeAll(async () => {
  writer = await compileChild('writer')
})
afterAll(() => writer.remove())

interface Witness {
  /** Last sequence that was acknowledged. */
  readonly acknowledged: number
  readonly hasOpened: boolean
}

/** Starts a writer and kills it, unless it kills itself, once it has said so many things; a tenth never gets that far. */
async function killAfter(words: number, directory: string, seed: number): Promise<Witness> {
  const child = writer.start(directory, String(seed))
  let said = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    if (said.split('\n').length > words) child.kill('SIGKILL')
  })
  if (words === 0) child.kill('SIGKILL')
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (signal !== 'SIGKILL') throw new Error(`seed ${seed}: the writer ended by itself with ${code}`)
  const numbers = Array.from(said.matchAll(/ack (\d+)\n/g), ([, number]) => Number(number))
  return { acknowledged: Math.max(0, ...numbers), hasOpened: said.includes('open') }
}

interface Fact {
  readonly sequence: number
  readonly first: number
  readonly size: number
}

/** Opens what a kill left and says what is wrong with it. */
async function problemsOf(directory: string, acknowledged: number): Promise<string[]> {
  const { journal, recovery } = await createDirectoryJournal({ directory, segmentBytes: 64 * 1024 }).open()
  const through = recovery.snapshot?.through ?? 0
  const rows = [...(recovery.snapshot?.rows ?? [])]
  const records = [...recovery.records]
  const { nextSequence } = journal
  await journal.close()
  const problems: string[] = []
  const check = (isRight: boolean, problem: string): void => void (isRight || problems.push(problem))
  check(rows.length === 0 || isRowOf(rows[0], through), `the snapshot through ${through} begins with another row`)
  let expected = through + 1
  for (const { sequence, record } of records) {
    const fact = record as unknown as Fact
    check(sequence === expected, `record ${expected} is missing: ${sequence} came`)
    check(fact.sequence === sequence, `record ${sequence} is ${fact.sequence}`)
    const isWhole = fact.first > through ? fact.first + fact.size <= nextSequence : true
    check(isWhole, `record ${sequence} is of a group that is not whole`)
    expected = sequence + 1
  }
  check(nextSequence === expected, `the journal goes on with ${nextSequence} instead of ${expected}`)
  check(nextSequence > acknowledged, `record ${acknowledged} was acknowledged and is lost`)
  return problems
}

function isRowOf(row: JournalRecord | undefined, through: number): boolean {
  return JSON.stringify(row) === JSON.stringify({ through })
}

/** Kills one writer after another in a directory; says how often the writer had opened the journal, and what was cut. */
async function killRepeatedly(lane: number): Promise<{ opened: number; torn: number }> {
  const directory = await temporaryDirectory()
  let opened = 0
  for (let kill = 0; kill < kills; kill += 1) {
    const seed = lane * 1_000_003 + kill
    const words = kill % 10 === 9 ? 0 : 1 + ((kill * 7919 + lane) % 120)
    const { acknowledged, hasOpened } = await killAfter(words, directory, seed)
    expect(await problemsOf(directory, acknowledged), `after the kill with seed ${seed}`).toEqual([])
    if (hasOpened) opened += 1
  }
  const names = await namesIn(directory)
  return { opened, torn: names.filter((name) => name.startsWith('cut-')).length }
}

describe('kill -9', () => {
  it('loses no acknowledged record, keeps groups whole and leaves no gap', { timeout }, async () => {
    const results = await Promise.all(Array.from({ length: lanes }, (_, lane) => killRepeatedly(lane)))
    for (const { opened, torn } of results) {
      // Otherwise the kills came too early, or too late, to prove anything.
      expect(opened).toBeGreaterThan(kills / 2)
      expect(torn).toBeGreaterThan(kills / 20)
    }
  })
})
