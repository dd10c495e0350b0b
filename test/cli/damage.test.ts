import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { tool, Workspace } from './support/cli.js'

let work: Workspace
beforeEach(async () => {
  work = await Workspace.create()
  await work.plan([tool('first', 'exit 0')])
  await work.run()
})
afterEach(() => work[Symbol.asyncDispose]())

/** Changes the log that a run has left; `end` is where its last record ends. */
async function changeLog(edit: (bytes: Buffer, end: number) => void): Promise<string> {
  const directory = work.path('data/journal')
  const [name = ''] = (await readdir(directory)).filter((file) => file.endsWith('.log'))
  const path = join(directory, name)
  const bytes = await readFile(path)
  edit(bytes, bytes.findLastIndex((byte) => byte !== 0) + 1)
  await writeFile(path, bytes)
  return path
}

describe('a journal that has lost records at its end', () => {
  const rot = (bytes: Buffer, end: number): void => void bytes.writeUInt8(bytes.readUInt8(end - 5) ^ 1, end - 5)

  it('is refused, saying how to go on', async () => {
    const log = await changeLog(rot)
    const { exitCode, stderr } = await work.start('run', 'plan.json', '--data-dir', 'data').ended
    expect(exitCode).toBe(1)
    expect(stderr).toContain(`${log} is damaged at`)
    expect(stderr).toContain('--cut-damage')
  })

  it('is gone on with when that is asked for, and the run tells of it', async () => {
    const file = await changeLog(rot)
    const { stdout, stderr } = await work.start('run', 'plan.json', '--data-dir', 'data', '--cut-damage', '--json')
      .ended
    expect(stderr).toContain('a damaged end of the journal was cut')
    const { cut, hints } = JSON.parse(stdout) as { cut: { keptIn: string }; hints: string[] }
    expect(cut).toMatchObject({ cause: 'damage', file, reason: 'crc_mismatch' })
    expect(hints[0]).toContain('the journal has lost its records from')
    expect(hints[0]).toContain(cut.keptIn)
  })
})

it('a write that a crash cut short is told of and costs nothing', async () => {
  const file = await changeLog((bytes, end) => void bytes.writeUInt8(1, end))
  await rm(work.path('data/journal/lock.1'))
  const { exitCode, stdout, stderr } = await work.start('run', 'plan.json', '--data-dir', 'data', '--json').ended
  expect(exitCode).toBe(0)
  expect(stderr).toContain('an unfinished write at the end of the journal was cut')
  expect(JSON.parse(stdout)).toMatchObject({ cut: { cause: 'torn_write', file }, hints: [] })
})
