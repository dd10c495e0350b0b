import { createHash } from 'node:crypto'
import type { Clock, Work } from 'stateward'
import * as v from 'valibot'

const oneDay = 24 * 60 * 60 * 1000

/** The kinds of work that this service does. Replace them with your own: a tool call, a sub-agent, a build. */
export const jobSchema = v.variant('type', [
  v.strictObject({
    type: v.literal('sleep'),
    ms: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(oneDay)),
  }),
  v.strictObject({ type: v.literal('hash'), text: v.string() }),
  v.strictObject({ type: v.literal('fail'), message: v.pipe(v.string(), v.maxLength(1000)) }),
])

export type Job = v.InferOutput<typeof jobSchema>

/** The function that stateward runs for a job. */
export function workOf(job: Job, clock: Clock): Work {
  switch (job.type) {
    case 'sleep':
      return async ({ signal, retiring, progress }) => {
        progress(`asleep for ${job.ms} ms`, 0)
        const hasSlept = await sleep(job.ms, clock, AbortSignal.any([signal, retiring]))
        return hasSlept ? 'slept' : 'woken early'
      }
    case 'hash':
      return () => createHash('sha256').update(job.text).digest('hex')
    case 'fail':
      return () => {
        throw new Error(job.message)
      }
  }
}

/** Resolves after `ms` milliseconds with `true`, or with `false` as soon as the signal aborts. */
function sleep(ms: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(false)
    const timeout = clock.setTimeout(() => {
      signal.removeEventListener('abort', wake)
      resolve(true)
    }, ms)
    const wake = (): void => {
      clock.clearTimeout(timeout)
      resolve(false)
    }
    signal.addEventListener('abort', wake, { once: true })
  })
}
