import type { OperationRegistry } from '../operations/index.js'
import {
  expectsPeer,
  type CursorConsumer,
  type OperationId,
  type OperationKind,
  type OperationOutcome,
  type OperationPeerHandle,
  type OperationResult,
  type OperationSource,
  type OperationSpec,
  type PeerId,
  type SessionId,
} from '../../machines/operation-vocabulary.js'
import {
  nthOf,
  operationIdOf,
  unused,
  uuidOf,
  type AdvanceAction,
  type Choice,
  type SettleAction,
} from './operations-choices.js'
import type { OperationsOracle } from './operations-oracle.js'
import type { Verdict } from './operations-oracle-types.js'
import { attempt, type Step } from './operations-step.js'

/** Where an operation comes from. */
export const sourceNames = ['none', 'session_child', 'backend_peer'] as const
type SourceName = (typeof sourceNames)[number]

/** What a registration step registers. */
export interface RegisterOptions {
  readonly operation: Choice
  readonly kind: OperationKind
  readonly source: SourceName
  readonly limit: number | undefined
  /** Gives a peer channel flag that contradicts the kind. */
  readonly isContradictory: boolean
}

const peerId = uuidOf(9, 1) as PeerId

const sources: Readonly<Record<SourceName, OperationSource | undefined>> = {
  none: undefined,
  session_child: { kind: 'session_child', sessionId: uuidOf(9, 2) as SessionId },
  backend_peer: { kind: 'backend_peer', peerId, address: { transport: 'tcp', endpoint: '127.0.0.1:9' } },
}

const peer: OperationPeerHandle = {
  peerName: 'scout',
  trustedPeer: {
    peerId,
    name: 'scout',
    address: { transport: 'inproc', endpoint: 'scout' },
    pubkey: new Uint8Array(32),
  },
}

/** Registers an operation. */
export function registerStep({ operation, kind, source, limit, isContradictory }: RegisterOptions): Step {
  const operationSource = sources[source]
  const specOf = (id: OperationId): OperationSpec => ({
    id,
    kind,
    ownerSessionId: uuidOf(9, 3) as SessionId,
    // Two operations share each name, so that lists have ties.
    displayName: `operation ${Number(id.slice(-12)) >> 1}`,
    sourceLabel: `label of ${id}`,
    ...(operationSource !== undefined && { operationSource }),
    // Stale on purpose: the source decides.
    childSessionId: uuidOf(9, 4) as SessionId,
    expectPeerChannel: expectsPeer(kind) !== isContradictory,
  })
  return callStep(
    `register ${operation.name} as ${kind} from ${source}${isContradictory ? ', contradictory' : ''}, limit ${limit}`,
    operation,
    (oracle, id) => oracle.register(specOf(id), limit),
    (registry, id) => registry.registerOperationWithAdmissionLimit(specOf(id), limit),
  )
}

/** Moves an operation on. */
export function advanceStep(action: AdvanceAction, operation: Choice): Step {
  return callStep(
    `${action} ${operation.name}`,
    operation,
    (oracle, id) => oracle.advance(action, id),
    (registry, id) => {
      switch (action) {
        case 'start':
          return registry.provisioningSucceeded(id)
        case 'progress_reported':
          return registry.reportProgress(id, { message: 'half', percent: 0.5 })
        case 'peer_ready':
          return registry.peerReady(id, peer)
        case 'retire_requested':
          return registry.requestRetire(id)
      }
    },
  )
}

/** Ends an operation; `text` is its content, error or reason. */
export function settleStep(action: SettleAction, operation: Choice, text: string): Step {
  const reason = text === '' ? null : text
  const resultOf = (id: OperationId): OperationResult => ({
    id,
    content: text,
    isError: text === '',
    durationMs: 5,
    tokensUsed: 7,
  })
  const outcomeOf = (id: OperationId): OperationOutcome => {
    switch (action) {
      case 'complete':
        return { type: 'completed', result: resultOf(id) }
      case 'fail':
        return { type: 'failed', error: text }
      case 'abort':
        return { type: 'aborted', reason }
      case 'cancel':
        return { type: 'cancelled', reason }
      case 'retire_completed':
        return { type: 'retired' }
    }
  }
  return callStep(
    `${action} ${operation.name}`,
    operation,
    (oracle, id) => oracle.settle(action, id, outcomeOf(id)),
    (registry, id) => {
      switch (action) {
        case 'complete':
          return registry.completeOperation(id, resultOf(id))
        case 'fail':
          return text === '' ? registry.provisioningFailed(id, text) : registry.failOperation(id, text)
        case 'abort':
          return registry.abortProvisioning(id, reason)
        case 'cancel':
          return registry.cancelOperation(id, reason)
        case 'retire_completed':
          return registry.markRetired(id)
      }
    },
  )
}

/** A result that names another operation (ruling D11). */
export function foreignResultStep(operation: Choice): Step {
  const result = { id: operationIdOf(999), content: '', isError: false, durationMs: 0, tokensUsed: 0 }
  return callStep(
    `complete ${operation.name} with the result of another`,
    operation,
    () => ({ refused: 'invalid_input' }),
    (registry, id) => registry.completeOperation(id, result),
  )
}

/** Ends everything that is live. */
export function terminateOwnerStep(): Step {
  const name = 'terminate the owner'
  return {
    name,
    run: (oracle, system) => {
      const { isWriting: leans } = oracle
      const verdict = oracle.terminateOwner('owner left')
      // Ends that others started count: the owner has not ended before they are durable.
      const isStaged = oracle.staged.length > 0
      system.expect(name, system.registry.terminateOwner('owner left'), { verdict, leans, isStaged })
    },
  }
}

/** Takes the ended operations away. */
export function collectStep(): Step {
  return callStep(
    'collect',
    unused,
    (oracle) => {
      const { collected, ...verdict } = oracle.collect()
      return { ...verdict, value: collected?.map(({ id, outcome }) => ({ operationId: id, outcome })) }
    },
    (registry) => registry.collectCompleted(),
  )
}

/** Moves a consumer of completions. */
export function cursorStep(consumer: CursorConsumer, cursor: number): Step {
  const name = `move ${consumer} to ${cursor}`
  return {
    name,
    run: (oracle, system) => {
      const { cursor: value, ...verdict } = oracle.advanceCursor(consumer, cursor)
      const call = attempt(() => system.registry.advanceCompletionCursor(consumer, cursor))
      system.expect(name, call, { verdict, value })
    },
  }
}

/** Stops reporting one of the lost operations. */
export function forgetLostStep(nth: number): Step {
  const name = `forget lost operation ${nth}`
  return {
    name,
    run: (oracle, system) => {
      const ids = [nthOf(oracle.lost, nth)]
      const verdict = oracle.forgetLost(ids)
      const call = attempt(() => system.registry.forgetLost(ids))
      system.expect(name, call, { verdict })
    },
  }
}

/** A call that both sides answer at once, at least with a promise. */
function callStep(
  name: string,
  operation: Choice,
  ask: (oracle: OperationsOracle, id: OperationId) => Verdict & { readonly value?: unknown },
  call: (registry: OperationRegistry, id: OperationId) => PromiseLike<unknown>,
): Step {
  return {
    name,
    run: (oracle, system) => {
      const id = operation.pick(oracle)
      const { isWriting: leans, staged } = oracle
      const before = staged.length
      const { value, ...verdict } = ask(oracle, id)
      const isStaged = oracle.staged.length > before
      system.expect(name, call(system.registry, id), { verdict, leans, isStaged, value })
    },
  }
}
