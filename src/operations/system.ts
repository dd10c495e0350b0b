import { decode } from '../base/decode.js'
import { portSchema } from '../base/options.js'
import { silence } from '../base/promises.js'
import { OperationError } from './errors.js'
import type { OperationRegistry } from './registry.js'
import type { WaitAllResult } from './types.js'

/** The kind of answer of each member, which decides how a missing member is refused. */
const members = {
  epochId: 'a value',
  lost: 'a value',
  forgetLost: 'at once',
  registerOperation: 'later',
  registerOperationWithAdmissionLimit: 'later',
  provisioningSucceeded: 'later',
  reportProgress: 'later',
  peerReady: 'later',
  requestRetire: 'later',
  provisioningFailed: 'later',
  completeOperation: 'later',
  failOperation: 'later',
  abortProvisioning: 'later',
  cancelOperation: 'later',
  markRetired: 'later',
  terminateOwner: 'later',
  drain: 'at once',
  retireOwner: 'later',
  collectCompleted: 'later',
  registerWatcher: 'later',
  waitAll: 'later',
  outstandingObligations: 'at once',
  acknowledgeObligation: 'at once',
  advanceCompletionCursor: 'at once',
  completionCursor: 'at once',
  completionFeed: 'at once',
  snapshot: 'at once',
  listOperations: 'at once',
  classifyTerminality: 'at once',
  classifyCompletionWake: 'at once',
  classifyPublicResult: 'at once',
  classifyTransitionIdempotence: 'at once',
  diagnostics: 'at once',
  capturePersistenceSnapshot: 'at once',
} as const satisfies Partial<Record<keyof OperationRegistry, 'a value' | 'at once' | 'later'>>

/** A promise that can be given up by disposing it. */
export type OperationsWait = PromiseLike<WaitAllResult> & Disposable

/**
 * The interface of a registry, whoever keeps its operations. `Turn`, `TurnBoundary` and `IdleWake` need only parts of
 * it.
 */
export interface OperationsSystem extends Pick<OperationRegistry, Exclude<keyof typeof members, 'waitAll'>> {
  /** See {@link OperationRegistry.waitAll}. */
  waitAll(...given: Parameters<OperationRegistry['waitAll']>): OperationsWait
}

const anyPart = portSchema<Partial<OperationsSystem>>([])

/**
 * Completes a partial system. Each missing method answers `unsupported` with its name, for instance `wait_all`; where
 * the registry would return a promise, it rejects. A method can be replaced by spreading, `{ ...system, drain }`, which
 * leaves out the values `epochId` and `lost`, because they change. Raises `invalid_input` if the argument is not an
 * object.
 */
export function operationsSystem(part: Partial<OperationsSystem>): OperationsSystem {
  decode(anyPart, part, 'operations system')
  const whole: PropertyDescriptorMap = {}
  for (const [name, answer] of Object.entries(members)) {
    const present = (part as Readonly<Record<string, unknown>>)[name]
    if (typeof present === 'function') whole[name] = { value: present.bind(part), enumerable: true }
    else if (name in part) whole[name] = { get: () => (part as Readonly<Record<string, unknown>>)[name] }
    else whole[name] = missing(name, answer)
    // A proxy could not answer anything else otherwise.
    whole[name].configurable = true
  }
  return Object.create(null, whole) as OperationsSystem
}

/** The error for a missing method; the name is given in snake case, like the names of actions. */
export function unsupported(name: string): OperationError<'unsupported'> {
  const method = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  return new OperationError('unsupported', { method })
}

function missing(name: string, answer: 'a value' | 'at once' | 'later'): PropertyDescriptor {
  const refuse = (): never => {
    throw unsupported(name)
  }
  switch (answer) {
    case 'a value':
      return { get: refuse }
    case 'at once':
      return { value: refuse }
    case 'later':
      return { value: () => refusedWait(unsupported(name)) }
  }
}

/** A rejected promise that is also a wait. Ignoring it causes no unhandled rejection. */
function refusedWait(refusal: Error): Promise<never> & Disposable {
  return Object.assign(silence(Promise.reject(refusal)), { [Symbol.dispose]: () => {} })
}
