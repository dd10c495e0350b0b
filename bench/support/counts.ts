import { createHook } from 'node:async_hooks'
import { readdir, readFile } from 'node:fs/promises'
import { Session } from 'node:inspector/promises'
import { join } from 'node:path'
import { readDirectoryJournal } from '../../src/journal/reading.js'

/** Does something once, from call to outcome. */
export type Once = () => Promise<unknown>

/** The modules of this project and of XState; what Node and others do inside is not counted. */
const counted = /\/dist-bench\/(src|machines|actors)\/|\/node_modules\/xstate\//

/** Function calls for each of `times` times, one after another, by the counters that V8 keeps of every function. */
export async function callsPer(times: number, once: Once): Promise<number> {
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    for (let time = 0; time < times; time += 1) await once()
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
    // Taking the counters sets them back.
    await session.post('Profiler.takePreciseCoverage')
    for (let time = 0; time < times; time += 1) await once()
    const { result } = await session.post('Profiler.takePreciseCoverage')
    await session.post('Profiler.stopPreciseCoverage')
    const functions = result.filter(({ url }) => counted.test(url)).flatMap((script) => script.functions)
    return functions.reduce((calls, { ranges }) => calls + (ranges[0]?.count ?? 0), 0) / times
  } finally {
    session.disconnect()
  }
}

/** Promises made for each of `times` times, all at once. */
export async function promisesPer(times: number, once: Once): Promise<number> {
  const together = (): Promise<unknown> => Promise.all(Array.from({ length: times }, once))
  await together()
  let promises = 0
  const hook = createHook({
    init: (_id, type) => {
      if (type === 'PROMISE') promises += 1
    },
  })
  hook.enable()
  try {
    await together()
  } finally {
    hook.disable()
  }
  return promises / times
}

/** Calls of `AbortSignal.any` for each of `times` times, all at once. */
export async function combinedSignalsPer(times: number, once: Once): Promise<number> {
  const any = AbortSignal.any.bind(AbortSignal)
  let calls = 0
  AbortSignal.any = (signals) => {
    calls += 1
    return any(signals)
  }
  try {
    await Promise.all(Array.from({ length: times }, once))
  } finally {
    AbortSignal.any = any
  }
  return calls / times
}

/** Records and bytes of a journal in a directory, between two looks at it. */
export interface JournalSize {
  readonly records: number
  readonly bytes: number
}

/** How much a journal without a snapshot holds. */
export async function journalSize(directory: string): Promise<JournalSize> {
  await using reading = await readDirectoryJournal({ directory })
  let bytes = 0
  for (const name of (await readdir(directory)).filter((file) => file.endsWith('.log'))) {
    const content = await readFile(join(directory, name))
    let end = content.length
    // Segments are made of zeros, and no record ends in one.
    while (end > 0 && content[end - 1] === 0) end -= 1
    bytes += end
  }
  return { records: reading.nextSequence - 1, bytes }
}
