import { defineProcess, type ProcessDefinition } from '../../../../src/processes/public.js'

/** Told what a run does: it begins, does a step, or was told that a step is durable. */
export type Note = (what: 'begin' | 'do' | 'done', processId: string, value?: unknown) => void

/** Steps of a process that may run again. */
export const steps = ['one', 'two', 'three'] as const

interface SharedKinds {
  readonly job: ProcessDefinition<unknown, number[]>
  readonly bound: ProcessDefinition<unknown, string>
}

/** The kinds that two hosts share; what they do is noted. */
export function sharedKinds(note: Note, pause: (attempt: number) => Promise<void>): SharedKinds {
  const job = defineProcess('job', { disposition: 'rerunnable' }, async (_: unknown, { processId, step, ...run }) => {
    const results: number[] = []
    for (const name of steps) {
      const result = await step(name, async () => {
        note('do', processId)
        await pause(run.attempt)
        return run.fencingToken
      })
      note('done', processId, [name, result])
      results.push(result)
    }
    return results
  })
  const bound = defineProcess('bound', { disposition: 'owner_bound' }, async (_: unknown, { processId }) => {
    note('begin', processId)
    await pause(1)
    return 'done'
  })
  return { job, bound }
}
