import type fastCheck from 'fast-check'
import * as v from 'valibot'
import { optionsSchema, wholeNumberSchema } from '../../base/options.js'
import { cursorConsumers, operationKinds, type OperationKind } from '../../../machines/operation-vocabulary.js'
import type { WeightedSteps } from '../model.js'
import type { OperationsDriver } from './driver.js'
import type { OperationsOracle } from './oracle.js'
import type { OperationsMethod } from './port.js'
import * as steps from './steps.js'

type Steps = fastCheck.Arbitrary<steps.OperationsStep>

/** Default weights of the steps; those that move operations on are the most frequent. */
const usualWeights = {
  register: 20,
  run: 20,
  queue: 12,
  cancelQueued: 2,
  waitForQueued: 3,
  start: 14,
  advance: 8,
  settle: 20,
  foreignResult: 1,
  watch: 4,
  abandonWatch: 1,
  waitAll: 2,
  waitForSuccessive: 8,
  giveUpWait: 1,
  abortedWait: 1,
  acknowledge: 3,
  collect: 4,
  cursor: 3,
  forgetLost: 4,
  terminateOwner: 1,
  drain: 1,
  retireOwner: 1,
}

/** The name of a kind of step. */
export type OperationsStepName = keyof typeof usualWeights

/** Options for the steps that are drawn. */
export interface OperationsStepOptions {
  /** The weight of each kind of step for which the port has the methods; 0 leaves it out. */
  readonly weights?: Readonly<Partial<Record<OperationsStepName, number>>>
  /** Kinds of operations that are started. Default: all. */
  readonly kinds?: readonly OperationKind[]
  /**
   * Methods that are called only where the registry would accept them: for actions that the system takes by itself and
   * the port only triggers. Default: none.
   */
  readonly onlyLegal?: readonly OperationsMethod[]
  /**
   * Whether some operations are registered as children of others (`parentId`), which end with their parents. Default:
   * true.
   */
  readonly trees?: boolean
}

/** The method for each action on an operation. */
const methodOf: Readonly<Record<steps.AdvanceAction | steps.SettleAction, OperationsMethod>> = {
  start: 'provisioningSucceeded',
  progress_reported: 'reportProgress',
  peer_ready: 'peerReady',
  retire_requested: 'requestRetire',
  complete: 'completeOperation',
  fail: 'failOperation',
  abort: 'abortProvisioning',
  cancel: 'cancelOperation',
  retire_completed: 'markRetired',
}

const weightSchema = v.optional(wholeNumberSchema(0, 1000))
const weightNames = Object.keys(usualWeights) as OperationsStepName[]

/** The schemas of {@link OperationsStepOptions}, field by field. */
export const stepFields = {
  weights: v.optional(
    optionsSchema<Partial<Record<OperationsStepName, number>>>(
      Object.fromEntries(weightNames.map((name) => [name, weightSchema])) as Record<
        OperationsStepName,
        typeof weightSchema
      >,
    ),
  ),
  kinds: v.optional(v.pipe(v.array(v.picklist(operationKinds)), v.minLength(1))),
  onlyLegal: v.optional(v.array(v.picklist(Object.values(methodOf)))),
  trees: v.optional(v.boolean()),
}

/** All steps for which the port has the methods, with their weights. */
export function operationsSteps(
  fc: typeof fastCheck,
  has: (method: OperationsMethod) => boolean,
  { weights = {}, kinds = operationKinds, onlyLegal = [], trees = true }: OperationsStepOptions = {},
): readonly WeightedSteps<OperationsOracle, OperationsDriver>[] {
  const nth = fc.nat(7)
  const someone = mostly(fc, nth.map(steps.tracked), nth.map(steps.exactly))
  const able = (action: steps.AdvanceAction | steps.SettleAction) => nth.map((number) => steps.able(action, number))
  const isLegalOnly = (action: keyof typeof methodOf): boolean => onlyLegal.includes(methodOf[action])
  const aim = (action: keyof typeof methodOf): fastCheck.Arbitrary<steps.Choice> =>
    isLegalOnly(action) ? able(action) : mostly(fc, able(action), someone)
  /** Leaves out calls that the registry would refuse, for methods in `onlyLegal`. */
  const legal = (action: keyof typeof methodOf, chosen: steps.Choice, step: steps.OperationsStep) => {
    if (!isLegalOnly(action)) return step
    return { ...step, isPossible: (oracle: OperationsOracle) => oracle.allows(action, chosen.pick(oracle)) }
  }
  const advance = (action: steps.AdvanceAction, choices: fastCheck.Arbitrary<steps.Choice>): Steps =>
    choices.map((chosen) => legal(action, chosen, steps.advanceStep(action, chosen)))
  const settle = (action: steps.SettleAction): Steps =>
    fc
      .tuple(aim(action), fc.constantFrom('', 'done'))
      .map(([chosen, text]) => legal(action, chosen, steps.settleStep(action, chosen, text)))

  const advances = steps.advanceActions.filter((action) => has(methodOf[action]))
  const settles = steps.settleActions.filter((action) => has(methodOf[action]))
  const canRegister = has('registerOperation') || has('registerOperationWithAdmissionLimit')
  const canWatch = has('registerWatcher')
  const canWait = has('waitAll')
  const cursor = fc.tuple(fc.constantFrom(...cursorConsumers), fc.nat(9))
  // Waits for live operations are the ones that later keep ended operations from being evicted.
  const neighbours = fc.tuple(nth, fc.nat(3)).map(([first, count]) => successive(first, count))
  const parent = trees
    ? fc.option(mostly(fc, nth.map(steps.whole), someone), { nil: undefined, freq: 2 })
    : fc.constant(undefined)
  const outlives = fc.nat(3).map((dice) => dice === 3)
  // Capacity slots, which are not journalled, are started directly and never queued.
  const tracedKinds = kinds.filter((kind) => kind !== 'background_tool_capacity_slot')
  const traced = tracedKinds.length > 0 ? tracedKinds : kinds
  const queueParent = trees
    ? fc.option(fc.oneof(nth.map(steps.nthInLine), nth.map(steps.whole), someone), { nil: undefined, freq: 2 })
    : fc.constant(undefined)
  const limit = has('registerOperationWithAdmissionLimit')
    ? fc.option(fc.nat(4), { nil: undefined, freq: 4 })
    : fc.constant(undefined)

  const drawn: Readonly<Record<OperationsStepName, Steps | false>> = {
    register: canRegister && registration(fc, someone, kinds, limit, parent).map(steps.registerStep),
    run: has('run') && fc.constantFrom(...kinds).map(steps.runStep),
    queue:
      has('queue') &&
      fc
        .tuple(fc.constantFrom(...traced), queueParent, outlives)
        .map(([kind, above, isOutliving]) => steps.queueStep(kind, above, isOutliving)),
    cancelQueued: has('queue') && has('cancelQueued') && nth.map(steps.cancelQueuedStep),
    waitForQueued:
      has('queue') &&
      has('waitForQueued') &&
      fc
        .tuple(fc.array(nth, { minLength: 1, maxLength: 2 }), nth.map(steps.tracked))
        .map(([nths, other]) => steps.waitForQueuedStep(nths, other)),
    start: has('provisioningSucceeded') && advance('start', able('start')),
    advance: advances.length > 0 && fc.constantFrom(...advances).chain((action) => advance(action, aim(action))),
    settle: settles.length > 0 && fc.constantFrom(...settles).chain(settle),
    foreignResult: has('completeOperation') && !isLegalOnly('complete') && someone.map(steps.foreignResultStep),
    watch: canWatch && someone.map(steps.watchStep),
    abandonWatch: canWatch && fc.constant(steps.abandonWatchStep()),
    waitAll:
      canWait && fc.tuple(fc.array(someone, { maxLength: 4 }), fc.boolean()).map((wait) => steps.waitAllStep(...wait)),
    waitForSuccessive: canWait && fc.tuple(neighbours, fc.boolean()).map((wait) => steps.waitAllStep(...wait)),
    giveUpWait: canWait && fc.constant(steps.giveUpWaitStep()),
    abortedWait: canWait && someone.map(steps.abortedWaitStep),
    acknowledge: has('acknowledgeObligation') && has('outstandingObligations') && fc.constant(steps.acknowledgeStep()),
    collect: has('collectCompleted') && fc.constant(steps.collectStep()),
    cursor: has('advanceCompletionCursor') && cursor.map(([consumer, to]) => steps.cursorStep(consumer, to)),
    forgetLost: has('forgetLost') && nth.map(steps.forgetLostStep),
    terminateOwner: has('terminateOwner') && fc.constant(steps.terminateOwnerStep()),
    drain: has('drain') && fc.constant(steps.drainStep()),
    retireOwner: has('retireOwner') && fc.constant(steps.retireOwnerStep()),
  }
  return Object.entries(drawn).flatMap(([name, made]) => {
    const weight = weights[name as OperationsStepName] ?? usualWeights[name as OperationsStepName]
    return made === false || weight === 0 ? [] : [[weight, made] as const]
  })
}

function registration(
  fc: typeof fastCheck,
  someone: fastCheck.Arbitrary<steps.Choice>,
  kinds: readonly OperationKind[],
  limit: fastCheck.Arbitrary<number | undefined>,
  parent: fastCheck.Arbitrary<steps.Choice | undefined>,
): fastCheck.Arbitrary<steps.RegisterOptions> {
  return fc.record({
    operation: mostly(fc, fc.constant(steps.unused), someone),
    kind: fc.constantFrom(...kinds),
    source: fc.constantFrom(...steps.sourceNames),
    limit,
    isContradictory: fc.nat(15).map((dice) => dice === 15),
    parent,
    outlivesParent: fc.nat(3).map((dice) => dice === 3),
  })
}

function mostly<Value>(
  fc: typeof fastCheck,
  usual: fastCheck.Arbitrary<Value>,
  odd: fastCheck.Arbitrary<Value>,
): fastCheck.Arbitrary<Value> {
  return fc.oneof({ weight: 5, arbitrary: usual }, { weight: 1, arbitrary: odd })
}

/** Live operations that were registered one after another. */
function successive(first: number, count: number): steps.Choice[] {
  return Array.from({ length: count }, (_, index) => steps.able('cancel', first + index))
}
