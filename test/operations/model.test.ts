import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { OperationKind } from '../../machines/operation-vocabulary.js'
import { systemClock } from '../../src/base/clock.js'
import { messageOf } from '../../src/base/errors.js'
import { assertAgreement } from '../../src/testing/operations/agreement.js'
import { assertInvariants } from '../../src/testing/operations/invariants.js'
import { OperationsOracle } from '../../src/testing/operations/oracle.js'
import * as calls from '../../src/testing/operations/steps.js'
import * as journal from './support/model/journal-steps.js'
import { JournalledOperations } from './support/model/journalled-operations.js'
import { checkJournalledOperations, microtasks } from './support/model/search.js'

const steps = { ...calls, ...journal }
type Step = journal.JournalStep

const isLong = process.env['STATEWARD_LONG'] === '1'

const timeout = isLong ? 3_600_000 : 60_000

// Writing a snapshot lets others have their turn once it has taken long; a busy machine must not decide when that is.
beforeEach(() => void vi.spyOn(systemClock, 'monotonicNow').mockReturnValue(0))
afterEach(() => void vi.restoreAllMocks())

describe('the operations registry agrees with the oracle after every step in every history, and keeps O-28, O-29, O-30, O-31, O-32, O-33, O-34, O-35, O-36, O-37, O-38', () => {
  it('over a journal that refuses, breaks and comes back', { timeout }, async () => {
    const search = isLong ? { numRuns: 20_000, maxSteps: 200 } : { numRuns: 250 }
    await expect(checkJournalledOperations(fc, search)).resolves.toBeUndefined()
  })

  it('without a journal', { timeout }, async () => {
    const search = isLong ? { numRuns: 5000, maxSteps: 200 } : { numRuns: 80 }
    await expect(checkJournalledOperations(fc, { ...search, isDurable: false })).resolves.toBeUndefined()
  })
})

/** Operations of these numbers, registered and started. */
const started = (...numbers: number[]): Step[] =>
  numbers.flatMap((number) => [registered(number), steps.advanceStep('start', steps.exactly(number))])

function registered(number: number, kind: OperationKind = 'background_tool_op', part = {}): Step {
  const operation = steps.exactly(number)
  const what = { operation, kind, source: 'session_child', limit: undefined, isContradictory: false } as const
  return steps.registerStep({ ...what, ...part })
}

/** Registered as part of another. */
const partOf = (parent: number, number: number, outlivesParent = false): Step =>
  registered(number, 'background_tool_op', { parent: steps.exactly(parent), outlivesParent })

const ended = (...numbers: number[]): Step[] =>
  numbers.flatMap((number) => [steps.settleStep('complete', steps.exactly(number), 'done'), steps.flushStep()])

const waitFor = (...numbers: number[]): Step => steps.waitAllStep(numbers.map(steps.exactly))

/** Histories that once told the two apart, or would if something broke that random ones seldom meet. */
const histories: Record<string, { readonly maxCompleted: number; readonly steps: readonly Step[] }> = {
  'a pinned member that retention passed by is gone after a crash, as it is after the wait': {
    maxCompleted: 2,
    steps: [
      ...started(0, 1, 2, 3),
      waitFor(0, 1),
      ...ended(0, 2, 3),
      steps.collectStep(),
      ...ended(1),
      steps.powerCutStep(),
    ],
  },
  'a snapshot written meanwhile does not bring it back': {
    maxCompleted: 1,
    steps: [
      ...started(0, 1, 2),
      waitFor(0, 1),
      ...ended(0, 2),
      steps.collectStep(),
      steps.compactStep(),
      steps.powerCutStep(),
    ],
  },
  'what retention keeps does not depend on an end that was under way while something was collected': {
    maxCompleted: 2,
    steps: [
      ...started(0, 1, 2),
      ...ended(0, 1),
      steps.settleStep('complete', steps.exactly(2), 'done'),
      waitFor(0, 2),
      steps.collectStep(),
      steps.flushStep(),
      steps.powerCutStep(),
    ],
  },
  '[O-97] a pinned member stays readable until the wait is over, whatever is collected meanwhile': {
    maxCompleted: 1,
    steps: [...started(0, 1, 2, 3), waitFor(0, 1), ...ended(0, 2, 3), steps.collectStep(), ...ended(1)],
  },
  '[O-44] the id of a capacity slot is not free while a wait counts on its end': {
    maxCompleted: 1,
    steps: [
      ...started(0),
      registered(1, 'background_tool_capacity_slot'),
      waitFor(0, 1),
      steps.settleStep('abort', steps.exactly(1), ''),
      registered(1),
      ...ended(0),
      registered(1),
      ...ended(1),
    ],
  },
  'a snapshot with an end under way can be read back, whether the end survives or not': {
    maxCompleted: 3,
    steps: [
      ...started(0, 1),
      steps.flushStep(),
      steps.settleStep('complete', steps.exactly(0), 'done'),
      steps.compactStep(),
      steps.flushStep(),
      steps.settleStep('complete', steps.exactly(1), 'done'),
      steps.compactStep(),
      steps.powerCutStep(),
    ],
  },
  'a lost operation that was forgotten stays forgotten, and one that is started again is not lost': {
    maxCompleted: 3,
    steps: [
      ...started(0, 1),
      steps.flushStep(),
      steps.powerCutStep(),
      steps.forgetLostStep(0),
      steps.flushStep(),
      steps.powerCutStep(),
      ...started(1),
      ...ended(1),
      steps.collectStep(),
      steps.compactStep(),
      steps.powerCutStep(),
    ],
  },
  '[O-210] what an end is owed to when its process dies is never lost, and has an end in the next': {
    maxCompleted: 3,
    steps: [
      ...started(0),
      partOf(0, 1),
      partOf(1, 2),
      partOf(0, 3, true),
      steps.flushStep(),
      steps.settleStep('complete', steps.exactly(0), 'done'),
      steps.lateSurvivorStep(),
      steps.powerCutStep(),
    ],
  },
  '[O-210] an end that is decided closes its tree, and opens it again when it is taken back': {
    maxCompleted: 3,
    steps: [
      ...started(0),
      partOf(0, 1),
      partOf(0, 2, true),
      steps.flushStep(),
      steps.settleStep('complete', steps.exactly(0), 'done'),
      partOf(0, 3),
      partOf(0, 3, true),
      steps.advanceStep('start', steps.exactly(1)),
      steps.advanceStep('start', steps.exactly(2)),
      steps.refusedWriteStep(),
      steps.advanceStep('start', steps.exactly(1)),
      partOf(1, 3),
      ...ended(0),
    ],
  },
  '[O-150] what was lost below one that runs again ends with it, before a crash as after it': {
    maxCompleted: 3,
    steps: [
      ...started(0),
      partOf(0, 1),
      partOf(1, 2),
      partOf(0, 3, true),
      steps.flushStep(),
      steps.powerCutStep(),
      ...started(0),
      ...ended(0),
      steps.powerCutStep(),
    ],
  },
  '[O-150] what was lost below one that runs again is owed an end too if the process dies with the end of that one': {
    maxCompleted: 3,
    steps: [
      ...started(0),
      partOf(0, 1),
      partOf(1, 2),
      partOf(0, 3, true),
      steps.flushStep(),
      steps.powerCutStep(),
      ...started(0),
      partOf(0, 4),
      steps.settleStep('complete', steps.exactly(0), 'done'),
      steps.lateSurvivorStep(),
    ],
  },
  '[O-150] an end that is owed below a capacity slot is offered again when the journal refuses it': {
    maxCompleted: 3,
    steps: [
      ...started(0),
      partOf(0, 1),
      steps.flushStep(),
      steps.powerCutStep(),
      registered(0, 'background_tool_capacity_slot'),
      steps.settleStep('abort', steps.exactly(0), ''),
      steps.refusedWriteStep(),
    ],
  },
  'a lost operation that has to be ended is running or being set up, whatever a snapshot said': {
    maxCompleted: 3,
    steps: [
      ...started(0),
      partOf(0, 1),
      steps.advanceStep('start', steps.exactly(1)),
      steps.advanceStep('retire_requested', steps.exactly(1)),
      steps.compactStep(),
      steps.powerCutStep(),
      registered(0, 'background_tool_capacity_slot'),
      steps.advanceStep('start', steps.exactly(0)),
      steps.settleStep('complete', steps.exactly(0), 'done'),
    ],
  },
  'a terminated owner waits for the ends under way, not for those that follow': {
    maxCompleted: 3,
    steps: [
      ...started(0),
      partOf(0, 1),
      steps.flushStep(),
      steps.powerCutStep(),
      registered(0, 'background_tool_capacity_slot'),
      ...started(2),
      steps.flushStep(),
      steps.settleStep('complete', steps.exactly(2), 'done'),
      steps.terminateOwnerStep(),
    ],
  },
  '[O-150] an end that is owed below a capacity slot is durable no sooner than others, however the slot ended': {
    maxCompleted: 3,
    steps: [
      ...started(0),
      partOf(0, 1),
      steps.flushStep(),
      steps.powerCutStep(),
      registered(0, 'background_tool_capacity_slot'),
      steps.flushStep(),
      steps.terminateOwnerStep(),
    ],
  },
  'a sequence that a lost write took back is minted again, beside slots that ended meanwhile': {
    maxCompleted: 3,
    steps: [
      ...started(0, 1),
      registered(2, 'background_tool_capacity_slot'),
      steps.flushStep(),
      steps.settleStep('complete', steps.exactly(0), 'done'),
      steps.settleStep('cancel', steps.exactly(2), ''),
      steps.settleStep('fail', steps.exactly(1), 'broken'),
      steps.refusedWriteStep(),
      ...ended(1, 0),
      steps.transferStep(),
    ],
  },
}

/** What tells the two apart after a step, if anything. */
async function disagreement(
  { name }: Step,
  system: JournalledOperations,
  oracle: OperationsOracle,
): Promise<string | undefined> {
  try {
    system.verifyNothingLeaked()
    await assertAgreement(system, oracle)
    await assertInvariants(system.registry)
    return undefined
  } catch (error) {
    return `${name}: ${messageOf(error)}`
  }
}

describe('registry and oracle agree that', () => {
  it.each(Object.entries(histories))('%s', async (_, { maxCompleted, steps: history }) => {
    const limits = { maxCompleted }
    const system = await JournalledOperations.open(limits)
    const oracle = new OperationsOracle(limits)
    for (const step of [...history, steps.flushStep()]) {
      await step.run(oracle, system)
      await microtasks()
      expect(await disagreement(step, system, oracle)).toBeUndefined()
    }
    await system.close()
  })
})
