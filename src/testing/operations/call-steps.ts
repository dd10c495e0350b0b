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
} from '../../../machines/operation-vocabulary.js'
import {
  fresh,
  nthOf,
  operationIdOf,
  unused,
  uuidOf,
  type AdvanceAction,
  type Choice,
  type SettleAction,
} from './choices.js'
import type { OperationsOracle } from './oracle.js'
import type { Verdict } from './rows.js'
import type { OperationsDriver } from './driver.js'
import type { OperationsStep } from './step.js'

/** The sources that operations are registered with. */
export const sourceNames = ['none', 'session_child', 'backend_peer'] as const
type SourceName = (typeof sourceNames)[number]

/** Options of {@link registerStep}. */
export interface RegisterOptions {
  readonly operation: Choice
  readonly kind: OperationKind
  readonly source: SourceName
  readonly limit: number | undefined
  /** Sets a peer channel flag that contradicts the kind. */
  readonly isContradictory: boolean
  /** The parent; ignored if it is a capacity slot. */
  readonly parent?: Choice | undefined
  readonly outlivesParent?: boolean
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
export function registerStep(options: RegisterOptions): OperationsStep {
  const { operation, kind, source, limit, isContradictory, parent, outlivesParent = false } = options
  let picked: OperationId | undefined
  const specOf = (id: OperationId): OperationSpec => ({
    ...makeSpec(id, kind, sources[source], isContradictory),
    ...(picked !== undefined && { parentId: picked, ...(outlivesParent && { outlivesParent }) }),
  })
  const part = parent === undefined ? '' : `, part of ${parent.name}${outlivesParent ? ' which it outlives' : ''}`
  return callStep(
    `register ${operation.name} as ${kind} from ${source}${isContradictory ? ', contradictory' : ''}${part}, limit ${limit}`,
    operation,
    (oracle, id) => {
      picked = parent?.pick(oracle)
      // A slot is not journalled, so its children could not be recognised as such after a restart.
      if (picked !== undefined && oracle.find(picked)?.kind === 'background_tool_capacity_slot') picked = undefined
      return oracle.register(specOf(id), limit)
    },
    (driver, id) => {
      if (limit === undefined && driver.has('registerOperation')) return driver.call('registerOperation', specOf(id))
      return driver.call('registerOperationWithAdmissionLimit', specOf(id), limit)
    },
  )
}

/** Registers and starts an operation in one call, through a system that assigns its own ids. */
export function runStep(kind: OperationKind): OperationsStep {
  return callStep(
    `run an operation as ${kind}`,
    fresh,
    (oracle, id) => {
      const verdict = oracle.register(makeSpec(id, kind), undefined)
      return verdict.refused === undefined ? oracle.advance('start', id) : verdict
    },
    (driver, id) => driver.call('run', makeSpec(id, kind)),
  )
}

/** Carries out an action that keeps an operation live. */
export function advanceStep(action: AdvanceAction, operation: Choice): OperationsStep {
  return callStep(
    `${action} ${operation.name}`,
    operation,
    (oracle, id) => oracle.advance(action, id),
    (driver, id) => {
      switch (action) {
        case 'start':
          return driver.call('provisioningSucceeded', id)
        case 'progress_reported':
          return driver.call('reportProgress', id, { message: 'half', fraction: 0.5 })
        case 'peer_ready':
          return driver.call('peerReady', id, peer)
        case 'retire_requested':
          return driver.call('requestRetire', id)
      }
    },
  )
}

/** Ends an operation; `text` is its content, error or reason. */
export function settleStep(action: SettleAction, operation: Choice, text: string): OperationsStep {
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
    (driver, id) => {
      switch (action) {
        case 'complete':
          return driver.call('completeOperation', id, resultOf(id))
        case 'fail':
          return text === '' ? driver.call('provisioningFailed', id, text) : driver.call('failOperation', id, text)
        case 'abort':
          return driver.call('abortProvisioning', id, reason)
        case 'cancel':
          return driver.call('cancelOperation', id, reason)
        case 'retire_completed':
          return driver.call('markRetired', id)
      }
    },
  )
}

/** Completes an operation with a result that names another one (O-50). */
export function foreignResultStep(operation: Choice): OperationsStep {
  const result = { id: operationIdOf(999), content: '', isError: false, durationMs: 0, tokensUsed: 0 }
  return callStep(
    `complete ${operation.name} with the result of another`,
    operation,
    () => ({ refused: 'invalid_input' }),
    (driver, id) => driver.call('completeOperation', id, result),
  )
}

/** Collects the ended operations. */
export function collectStep(): OperationsStep {
  return callStep(
    'collect',
    unused,
    (oracle) => {
      const { collected, ...verdict } = oracle.collect()
      return { ...verdict, value: collected?.map(({ id, outcome }) => ({ operationId: id, outcome })) }
    },
    (driver) => driver.call('collectCompleted'),
  )
}

/** Moves the cursor of a consumer. */
export function cursorStep(consumer: CursorConsumer, cursor: number): OperationsStep {
  const name = `move ${consumer} to ${cursor}`
  return {
    name,
    run: (oracle, driver) => {
      const { cursor: value, ...verdict } = oracle.advanceCursor(consumer, cursor)
      driver.expect(name, driver.call('advanceCompletionCursor', consumer, cursor), { verdict, value })
    },
  }
}

/** Stops reporting one of the lost operations. */
export function forgetLostStep(nth: number): OperationsStep {
  const name = `forget lost operation ${nth}`
  return {
    name,
    run: (oracle, driver) => {
      const ids = [nthOf(oracle.lost, nth)]
      const verdict = oracle.forgetLost(ids)
      driver.expect(name, driver.call('forgetLost', ids), { verdict })
    },
  }
}

/** The spec with which an operation of this id is registered. */
export function makeSpec(
  id: OperationId,
  kind: OperationKind,
  operationSource?: OperationSource,
  isContradictory = false,
): OperationSpec {
  return {
    id,
    kind,
    ownerSessionId: uuidOf(9, 3) as SessionId,
    // Two operations share each name, so that lists contain ties.
    displayName: `operation ${Number(id.slice(-12)) >> 1}`,
    sourceLabel: `label of ${id}`,
    ...(operationSource !== undefined && { operationSource }),
    // Wrong on purpose, because the source decides.
    childSessionId: uuidOf(9, 4) as SessionId,
    expectPeerChannel: expectsPeer(kind) !== isContradictory,
  }
}

/** A step that makes one call, which the oracle answers at once and the system with a promise. */
function callStep(
  name: string,
  operation: Choice,
  ask: (oracle: OperationsOracle, id: OperationId) => Verdict & { readonly value?: unknown },
  call: (driver: OperationsDriver, id: OperationId) => PromiseLike<unknown>,
): OperationsStep {
  return {
    name,
    run: (oracle, driver) => {
      const id = operation.pick(oracle)
      const { isWriting: leans, staged } = oracle
      const before = staged.length
      const { value, ...verdict } = ask(oracle, id)
      // Only an end of this operation counts, not the ends that follow from it.
      const isStaged = oracle.staged.slice(before).some((end) => end.id === id)
      driver.expect(name, call(driver, id), { verdict, leans, isStaged, value })
    },
  }
}
