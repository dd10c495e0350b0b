import type fastCheck from 'fast-check'
import { cursorConsumers, operationKinds } from '../../machines/operation-vocabulary.js'
import * as steps from './operations-steps.js'

type Steps = fastCheck.Arbitrary<steps.Step>

/** Every step there is, as often as it should come up: what moves operations on comes up most. */
export function weightedSteps(fc: typeof fastCheck): readonly (readonly [weight: number, step: Steps])[] {
  const nth = fc.nat(7)
  const someone = mostly(fc, nth.map(steps.tracked), nth.map(steps.exactly))
  const settle = fc.constantFrom(...steps.settleActions).chain((action) => {
    const operation = mostly(fc, able(action), someone)
    return fc
      .tuple(operation, fc.constantFrom('', 'done'))
      .map(([chosen, text]) => steps.settleStep(action, chosen, text))
  })
  const advance = fc
    .constantFrom(...steps.advanceActions)
    .chain((action) => mostly(fc, able(action), someone).map((chosen) => steps.advanceStep(action, chosen)))
  const cursor = fc.tuple(fc.constantFrom(...cursorConsumers), fc.nat(9))
  const time = fc.tuple(fc.nat(5000), fc.integer({ min: -10_000, max: 10_000 }))
  // Waits that start over live operations are the ones that pin something later.
  const neighbours = fc.tuple(nth, fc.nat(3)).map(([first, count]) => successive(first, count))

  function able(action: Parameters<typeof steps.able>[0]): fastCheck.Arbitrary<steps.Choice> {
    return nth.map((number) => steps.able(action, number))
  }

  function one(...made: steps.Step[]): Steps {
    return fc.constantFrom(...made)
  }

  return [
    [20, registration(fc, someone).map(steps.registerStep)],
    [14, able('start').map((chosen) => steps.advanceStep('start', chosen))],
    [8, advance],
    [20, settle],
    [1, someone.map(steps.foreignResultStep)],
    [14, one(steps.flushStep())],
    [4, someone.map(steps.watchStep)],
    [2, one(steps.abandonWatchStep(), steps.disposeWaitStep())],
    [2, fc.tuple(fc.array(someone, { maxLength: 4 }), fc.boolean()).map((wait) => steps.waitAllStep(...wait))],
    [8, fc.tuple(neighbours, fc.boolean()).map((wait) => steps.waitAllStep(...wait))],
    [3, one(steps.acknowledgeStep())],
    [1, someone.map(steps.abortedWaitStep)],
    [4, one(steps.collectStep())],
    [3, cursor.map(([consumer, sequence]) => steps.cursorStep(consumer, sequence))],
    [4, nth.map(steps.forgetLostStep)],
    [3, time.map(([milliseconds, wallStep]) => steps.tickStep(milliseconds, wallStep))],
    [3, one(steps.compactStep())],
    [5, one(steps.refusedWriteStep(), steps.failedSyncStep())],
    [4, one(steps.powerCutStep(), steps.lateSurvivorStep())],
    [2, one(steps.restartStep(), steps.transferStep())],
    [1, one(steps.terminateOwnerStep(), steps.drainStep(), steps.retireOwnerStep())],
  ]
}

function registration(
  fc: typeof fastCheck,
  someone: fastCheck.Arbitrary<steps.Choice>,
): fastCheck.Arbitrary<steps.RegisterOptions> {
  return fc.record({
    operation: mostly(fc, fc.constant(steps.unused), someone),
    kind: fc.constantFrom(...operationKinds),
    source: fc.constantFrom(...steps.sourceNames),
    limit: fc.option(fc.nat(4), { nil: undefined, freq: 4 }),
    isContradictory: fc.nat(15).map((dice) => dice === 15),
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
