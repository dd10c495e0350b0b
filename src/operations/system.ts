import { decode } from '../base/decode.js'
import { portSchema } from '../base/options.js'
import { silence } from '../base/promises.js'
import { OperationError } from './errors.js'
import type { OperationRegistry } from './registry.js'
import type { WaitAllResult } from './types.js'

/** How each member of a system answers; what is missing is refused the same way. */
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

/** A wait of a system: a promise that can be given up. */
export type OperationsWait = PromiseLike<WaitAllResult> & Disposable

/**
 * The interface of the registry: what can be asked of the operations of one owner, whoever keeps them. `Turn`,
 * `TurnBoundary` and `IdleWake` need no more than parts of it.
 */
export interface OperationsSystem extends Pick<OperationRegistry, Exclude<keyof typeof members, 'waitAll'>> {
  /** See {@link OperationRegistry.waitAll}. */
  waitAll(...given: Parameters<OperationRegistry['waitAll']>): OperationsWait
}

const anyPart = portSchema<Partial<OperationsSystem>>([])

/**
 * Makes a system of whatever methods there are: each that is missing answers `unsupported` with its name, `wait_all` for
 * instance; by a rejection where the registry would give a promise. Raises `invalid_input` for what is no object.
 */
export function operationsSystem(part: Partial<OperationsSystem>): OperationsSystem {
  decode(anyPart, part, 'operations system')
  const whole: PropertyDescriptorMap = {}
  for (const [name, answer] of Object.entries(members)) {
    const present = (part as Readonly<Record<string, unknown>>)[name]
    if (typeof present === 'function') whole[name] = { value: present.bind(part) }
    else if (name in part) whole[name] = { get: () => (part as Readonly<Record<string, unknown>>)[name] }
    else whole[name] = missing(name, answer)
  }
  return Object.create(null, whole) as OperationsSystem
}

/** The refusal of a method that a system does not have; it names methods as it names actions, in snake case. */
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

/** A promise that serves as a wait too; ignored, it is no unhandled rejection. */
function refusedWait(refusal: Error): Promise<never> & Disposable {
  return Object.assign(silence(Promise.reject(refusal)), { [Symbol.dispose]: () => {} })
}
