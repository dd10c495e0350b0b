import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Candidates, type Blocker } from '../../../src/tasks/dispatch/candidates.js'
import { createRun, type Run } from '../../../src/tasks/index.js'
import { runId, T1 } from '../support/ids.js'

const runs: readonly Run[] = Array.from({ length: 400 }, (_, index) => ({
  ...createRun({ id: runId(index), taskId: T1, createdAtMs: (index * 7919) % 400, scheduledAtMs: 0 }),
  history: [],
  attempts: [],
}))
const inOrder = runs.toSorted((one, other) => one.createdAtMs - other.createdAtMs)

function takeAll(candidates: Candidates): Run[] {
  const taken: Run[] = []
  for (let run = candidates.first; run !== undefined; run = candidates.first) {
    taken.push(run)
    candidates.remove(run.id)
  }
  return taken
}

it('whatever is put aside and back comes in the order of selection', () => {
  const blockers: readonly Blocker[] = ['kind:a', 'kind:b', 'reservation']
  const step = fc.record({
    what: fc.constantFrom('block', 'unblock', 'first', 'one', 'remove', 'add'),
    blocker: fc.constantFrom(...blockers),
    index: fc.nat(runs.length - 1),
    count: fc.nat(200),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const candidates = new Candidates()
      /** What each run that is there waits for. */
      const expected = new Map<Run, Blocker | undefined>()
      for (const run of runs) {
        candidates.add(run)
        expected.set(run, undefined)
      }
      const waiting = (blocker: Blocker): Run[] => inOrder.filter((run) => expected.get(run) === blocker)
      for (const { what, blocker, index, count } of steps) {
        const some = runs.slice(index, index + count)
        const one = runs[index] as Run
        for (const run of some) {
          if (what === 'remove') candidates.remove(run.id)
          if (what === 'remove') expected.delete(run)
          if (what === 'add') candidates.add(run)
          if (what === 'add' && !expected.has(run)) expected.set(run, undefined)
          if (what === 'block' && expected.has(run)) candidates.block(run, blocker)
          if (what === 'block' && expected.has(run)) expected.set(run, blocker)
        }
        if (what === 'unblock') for (const run of waiting(blocker)) expected.set(run, undefined)
        if (what === 'unblock') candidates.unblock(blocker)
        if (what === 'first') for (const run of waiting(blocker).slice(0, 1)) expected.set(run, undefined)
        if (what === 'first') candidates.unblock(blocker, 'first')
        if (what === 'one') candidates.unblockRun(one.id, blocker)
        if (what === 'one' && expected.get(one) === blocker) expected.set(one, undefined)
      }
      expect(takeAll(candidates)).toEqual(inOrder.filter((run) => expected.has(run) && expected.get(run) === undefined))
      for (const blocker of blockers) {
        candidates.unblock(blocker)
        expect(takeAll(candidates)).toEqual(waiting(blocker))
      }
    }),
    { numRuns: 60 },
  )
})
