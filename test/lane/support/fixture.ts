import { StatewardError, toError } from '../../../src/base/errors.js'
import { Lane, type LaneOptions } from '../../../src/lane/lane.js'
import { ScriptedJournal, storeOf } from './scripted-journal.js'
import { Tally } from './tally.js'

/** A lane over a scripted journal with one stream attached. */
export async function open(options: Partial<LaneOptions> = {}) {
  const journal = new ScriptedJournal()
  const tally = new Tally()
  const lane = await Lane.open({ store: storeOf(journal), streamFor: () => undefined, ...options })
  lane.attach(tally)
  return { journal, tally, lane }
}

/** How a promise ended so far, by code or value, without waiting for it. */
export function watch(...promises: Promise<unknown>[]): (string | undefined)[] {
  const ends: (string | undefined)[] = promises.map(() => undefined)
  promises.forEach((promise, index) => {
    promise.then(
      (value) => (ends[index] = `resolved ${String(value)}`),
      (error: unknown) => (ends[index] = StatewardError.is(error) ? error.code : toError(error).constructor.name),
    )
  })
  return ends
}
