import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import { Lane } from '../../src/lane/lane.js'
import { encodeBytes, TaskAuthority } from '../../src/tasks/index.js'
import { stateOf } from './support/authority.js'
import { allocate, consume, move, runCreate, taskCreate } from './support/commands.js'
import { runId, taskId } from './support/ids.js'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stateward-tasks-'))
})

afterEach(() => rm(directory, { recursive: true }))

async function open(compactAfter: number) {
  const authority = new TaskAuthority()
  const lane = await Lane.open({
    store: createDirectoryJournal({ directory }),
    streamFor: () => authority,
    compactAfter,
  })
  authority.start(lane)
  return { authority, lane }
}

it('[T-50] a directory that is compacted again and again gives the live state back', async () => {
  const bytes = encodeBytes(new Uint8Array([0, 1, 254, 255]))
  let live: unknown[] = []
  for (let round = 0; round < 3; round++) {
    const { authority, lane } = await open(10)
    expect(stateOf({ authority })).toEqual(live)
    const submits = Array.from({ length: 12 }, (_, index) => {
      const number = round * 12 + index + 1
      const [task, run] = [taskId(number), runId(number)]
      return authority.submitBatch([
        taskCreate(task, { payload: { bytes } }),
        runCreate(run, task),
        allocate(10, task),
        consume(number, task),
        move('scheduled', 'ready', { runId: run }),
      ])
    })
    await Promise.all(submits)
    await lane.compact()
    await authority.submit(taskCreate(taskId(1000 + round)))
    live = stateOf({ authority })
    await lane.close()
  }
  const { authority, lane } = await open(1000)
  expect(stateOf({ authority })).toEqual(live)
  expect(authority.projection.latestSequence).toBe(183)
  expect(authority.projection.countIn('ready')).toBe(36)
  await lane.close()
})
