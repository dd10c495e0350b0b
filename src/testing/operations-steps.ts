import assert from 'node:assert/strict'
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
  type RunId,
  type SessionId,
} from '../../machines/operation-vocabulary.js'
import type { OperationsOracle, Verdict } from './operations-oracle.js'
import type { OperationsSystem } from './operations-system.js'

/** One thing done to the oracle and to the real registry alike. */
export interface Step {
  readonly name: string
  /** Absent means always. */
  readonly isPossible?: (oracle: OperationsOracle) => boolean
  readonly run: (oracle: OperationsOracle, system: OperationsSystem) => void | Promise<void>
}

/** The actions that leave an operation live. */
export const advanceActions = ['start', 'progress_reported', 'peer_ready', 'retire_requested'] as const
type AdvanceAction = (typeof advanceActions)[number]

/** The actions that end one operation. */
export const settleActions = ['complete', 'fail', 'abort', 'cancel', 'retire_completed'] as const
type SettleAction = (typeof settleActions)[number]

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

const uuidOf = (group: number, number: number): string =>
  `01890000-0000-7000-${group}000-${String(number).padStart(12, '0')}`

/** One of the operations that histories name; ids are text-ordered by their number. */
const operationIdOf = (number: number): OperationId => uuidOf(8, number) as OperationId

/** Which operation a step is about, found out when it runs. */
export interface Choice {
  readonly name: string
  readonly pick: (oracle: OperationsOracle) => OperationId
}

/** The operation of this number, registered or not. */
export function exactly(number: number): Choice {
  return { name: `operation ${number}`, pick: () => operationIdOf(number) }
}

/** One of those that are tracked; operation 0 when there is none. */
export function tracked(nth: number): Choice {
  return { name: `tracked operation ${nth}`, pick: ({ operations }) => nthOf(operations, nth) }
}

/** One of those that may do this now; any that is tracked when there is none. */
export function able(action: AdvanceAction | SettleAction, nth: number): Choice {
  return {
    name: `able operation ${nth}`,
    pick: (oracle) => {
      const candidates = oracle.operations.filter(({ id }) => oracle.allows(action, id))
      return nthOf(candidates.length > 0 ? candidates : oracle.operations, nth)
    },
  }
}

/** The first that the epoch does not know. */
export const unused: Choice = {
  name: 'an unused operation',
  pick: (oracle) => {
    let number = 0
    while (oracle.isUsed(operationIdOf(number))) number += 1
    return operationIdOf(number)
  },
}

function nthOf(operations: readonly { readonly id: OperationId }[], nth: number): OperationId {
  return operations[nth % Math.max(1, operations.length)]?.id ?? operationIdOf(0)
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

export function watchStep(operation: Choice): Step {
  const name = `watch ${operation.name}`
  return {
    name,
    run: (oracle, system) => {
      const id = operation.pick(oracle)
      const { watch, ...verdict } = oracle.watch(id)
      const controller = new AbortController()
      if (watch === undefined) {
        const call = attempt(() => void system.registry.registerWatcher(id, controller))
        return system.expect(name, call, { verdict })
      }
      system.watch(watch, system.registry.registerWatcher(id, controller), controller)
    },
  }
}

export function abandonWatchStep(): Step {
  return {
    name: 'abandon the newest watch',
    isPossible: ({ watches }) => watches.length > 0,
    run: ({ watches }, system) => {
      const watch = watches.at(-1)
      if (watch?.state === 'pending') watch.state = 'abandoned'
      system.watches.at(-1)?.controller.abort('abandoned')
    },
  }
}

export function waitAllStep(operations: readonly Choice[]): Step {
  const runId = uuidOf(9, 5) as RunId
  const name = `wait for [${operations.map((operation) => operation.name).join(', ')}]`
  return {
    name,
    run: (oracle, system) => {
      const ids = operations.map(({ pick }) => pick(oracle))
      const { wait, ...verdict } = oracle.waitAll(runId, ids)
      const handle = system.registry.waitAll(runId, ids)
      if (wait === undefined) system.expect(name, handle, { verdict })
      else system.wait(wait, handle)
    },
  }
}

/** A signal that has aborted already must not activate the barrier. */
export function abortedWaitStep(operation: Choice): Step {
  const name = `wait for ${operation.name} with an aborted signal`
  return {
    name,
    run: (oracle, system) => {
      const signal = AbortSignal.abort('enough')
      const handle = system.registry.waitAll(uuidOf(9, 5) as RunId, [operation.pick(oracle)], { signal })
      system.expect(name, handle, { verdict: { refused: 'enough' } })
    },
  }
}

/** Disposes the newest wait, satisfied or not. */
export function disposeWaitStep(): Step {
  return {
    name: 'dispose the newest wait',
    isPossible: ({ waits }) => waits.length > 0,
    run: (oracle, system) => {
      const wait = oracle.waits.at(-1)
      if (wait !== undefined) oracle.cancelWait(wait)
      system.waits.at(-1)?.handle[Symbol.dispose]()
    },
  }
}

export function acknowledgeStep(): Step {
  return {
    name: 'acknowledge the oldest obligation',
    isPossible: ({ waits }) => waits.some(({ state }) => state === 'satisfied'),
    run: ({ waits }, { registry }) => {
      const [obligation] = registry.outstandingObligations()
      const wait = waits.find(({ state }) => state === 'satisfied')
      assert.ok(obligation !== undefined && wait !== undefined, 'an obligation is owed')
      wait.state = 'acknowledged'
      registry.acknowledgeObligation(obligation)
      assert.throws(() => registry.acknowledgeObligation(obligation), { code: 'wait_not_active' })
    },
  }
}

export function drainStep(): Step {
  return {
    name: 'drain the owner',
    isPossible: ({ owner }) => owner === 'open',
    run: (oracle, { registry }) => {
      oracle.owner = 'draining'
      registry.drain()
    },
  }
}

/** Ends what runs, in a durable step, and fences the rest off. */
export function retireOwnerStep(): Step {
  return {
    name: 'retire the owner',
    isPossible: ({ owner }) => owner !== 'retired',
    run: async (oracle, system) => {
      oracle.terminateOwner('owner gone')
      const retired = system.registry.retireOwner('owner gone')
      await system.write()
      oracle.commit()
      oracle.owner = 'retired'
      await retired
      await system.verify('durable')
    },
  }
}

/** Time passes, and somebody sets the wall clock. */
export function tickStep(milliseconds: number, wallStep: number): Step {
  return {
    name: `${milliseconds} ms pass, the wall clock is moved by ${wallStep} ms`,
    run: (_, { clock }) => {
      clock.advance(milliseconds)
      clock.setWall(clock.wallNow() + wallStep)
    },
  }
}

export function compactStep(): Step {
  return {
    name: 'write a snapshot',
    run: async (oracle, { runtime }) => {
      oracle.persist()
      await runtime.compact()
    },
  }
}

/** What is under way becomes durable. */
export function flushStep(): Step {
  return {
    name: 'flush',
    run: async (oracle, system) => {
      await system.write()
      oracle.commit()
      await system.verify('durable')
    },
  }
}

/** The write is refused and taken back; everything may be tried again. */
export function refusedWriteStep(): Step {
  return {
    name: 'the write is refused',
    isPossible: ({ isWriting }) => isWriting,
    run: async (oracle, system) => {
      await system.write('write')
      oracle.discard()
      await system.verify('taken back')
    },
  }
}

/** The sync fails; the runtime is reopened. */
export function failedSyncStep(): Step {
  return {
    name: 'the sync fails',
    isPossible: ({ isWriting }) => isWriting,
    run: async (oracle, system) => {
      await system.write('sync')
      oracle.discard()
      await system.verify('uncertain')
      assert.equal(system.runtime.health.status, 'poisoned')
      await system.runtime.reopen()
      await system.runtime.flush()
      oracle.caughtUp()
    },
  }
}

/** The power fails before what is under way was written. */
export function powerCutStep(): Step {
  return {
    name: 'the power fails',
    run: async (oracle, system) => {
      await system.crash()
      oracle.recover()
      await system.verify('uncertain')
      system.forgetWaiters()
    },
  }
}

/** The sync fails, yet the bytes survive, and the power fails before anybody could react. */
export function lateSurvivorStep(): Step {
  return {
    name: 'the sync fails, then the power',
    isPossible: ({ isWriting }) => isWriting,
    run: async (oracle, system) => {
      await system.write('sync')
      await system.verifyCalls('uncertain')
      await system.crash()
      oracle.commitUnseen()
      oracle.recover()
      await system.verify('uncertain')
      system.forgetWaiters()
    },
  }
}

export function restartStep(): Step {
  return {
    name: 'restart',
    run: async (oracle, system) => {
      oracle.terminateOwner('restart')
      oracle.commit()
      oracle.caughtUp()
      await system.restart('restart')
      oracle.recover()
      await system.verify('durable')
      system.forgetWaiters()
    },
  }
}

/** Moves to another process by the wire snapshot; what was lost before is not in it. */
export function transferStep(): Step {
  return {
    name: 'move by snapshot',
    isPossible: ({ isWriting }) => !isWriting,
    run: async (oracle, system) => {
      await system.transfer()
      oracle.persist()
      oracle.recover({ keepsLost: false })
      await system.verify('durable')
      system.forgetWaiters()
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

/** A call that answers without a promise, as one. */
async function attempt<Value>(call: () => Value): Promise<Value> {
  return call()
}
