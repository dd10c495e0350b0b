import { describe, expect, it } from 'vitest'
import { hasEnded, phaseOf, type TaskPhase } from '../../src/tasks/task.js'
import { noProgress } from '../../src/tasks/task.js'
import type { Task } from '../../src/tasks/task.js'

type Progress = Partial<typeof noProgress>

/** Progress, when it was cancelled, and the phase that follows. */
const cases: readonly (readonly [Progress, number | undefined, TaskPhase])[] = [
  [{}, undefined, 'open'],
  [{}, 5, 'cancelled'],
  [{ runs: 2, open: 2 }, undefined, 'open'],
  [{ runs: 2, open: 1, completed: 1 }, undefined, 'open'],
  [{ runs: 2, open: 1, completed: 1 }, 5, 'open'],
  [{ runs: 2, completed: 2 }, undefined, 'completed'],
  [{ runs: 2, completed: 1, failed: 1 }, undefined, 'completed'],
  [{ runs: 2, completed: 1 }, 5, 'completed'],
  [{ runs: 2, failed: 1 }, undefined, 'failed'],
  [{ runs: 2, failed: 1 }, 5, 'failed'],
  [{ runs: 2 }, undefined, 'cancelled'],
  [{ runs: 2 }, 5, 'cancelled'],
]

describe('the phase of a task', () => {
  it.each(cases)('with progress %o, cancelled at %s, is %s', (progress, cancelledAtMs, phase) => {
    const task = {
      progress: { ...noProgress, ...progress },
      ...(cancelledAtMs !== undefined && { cancelledAtMs }),
    } as unknown as Task
    expect(phaseOf(task)).toBe(phase)
    expect(hasEnded(task)).toBe(phase !== 'open')
  })

  it('of a task that is not known has not ended', () => {
    expect(hasEnded(undefined)).toBe(false)
  })
})
