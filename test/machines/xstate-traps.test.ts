import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { StateMachine, type AnyActorRef, type AnyStateMachine, type AnyStateNode, type InspectionEvent } from 'xstate'
import * as machines from '../../machines/index.js'
import type { OperationId, OperationResult, OperationSpec, SessionId } from '../../machines/operation-vocabulary.js'
import { createDeferred } from '../../src/base/promises.js'
import type { WorkContext } from '../../src/operations/execution.js'
import { createRuntime } from '../../src/runtime.js'
import type { RuntimeOptions } from '../../src/runtime-options.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'

const idOf = (index: number): OperationId => `01890000-0000-7000-8000-${String(index).padStart(12, '0')}` as OperationId

const specOf = (index: number): OperationSpec => ({
  id: idOf(index),
  kind: 'background_tool_op',
  ownerSessionId: 'owner' as SessionId,
  displayName: `operation ${index}`,
  sourceLabel: 'test',
  childSessionId: null,
  expectPeerChannel: false,
})

const resultOf = (id: OperationId): OperationResult => ({
  id,
  content: 'done',
  isError: false,
  durationMs: 1,
  tokensUsed: 0,
})

async function open(options: RuntimeOptions = {}) {
  const clock = new SimulatedClock()
  const runtime = await createRuntime({ clock, ...options })
  const session = runtime.session('traps')
  const { actor, records } = session.history.core
  return { runtime, session, clock, registry: session.operations, actor, records }
}

/** Runs `work` and returns what would have ended the process. */
async function uncaughtDuring(work: () => unknown): Promise<unknown[]> {
  const errors: unknown[] = []
  const others = process.rawListeners('uncaughtException') as NodeJS.UncaughtExceptionListener[]
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => errors.push(error))
  try {
    await work()
    // XState throws what nobody observes from a timer of no delay, which is over before this one.
    await new Promise((resolve) => {
      setTimeout(resolve, 1)
    })
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const listener of others) process.on('uncaughtException', listener)
  }
  return errors
}

const exported = Object.entries(machines as Record<string, unknown>).filter(
  (entry): entry is [string, AnyStateMachine] => entry[1] instanceof StateMachine,
)

function nodesOf(node: AnyStateNode): AnyStateNode[] {
  return [node, ...Object.values(node.states).flatMap(nodesOf)]
}

describe('the record of children, which XState copies on every spawn and stop', () => {
  it('of the registry stays empty, and its context is never made anew, however many operations live and end', async () => {
    const { runtime, registry, actor } = await open()
    const { context, children } = actor.getSnapshot()
    for (let index = 0; index < 50; index++) {
      await registry.registerOperation(specOf(index))
      await registry.provisioningSucceeded(idOf(index))
      await registry.reportProgress(idOf(index), { message: 'half', fraction: 0.5 })
      if (index % 2 === 0) await registry.completeOperation(idOf(index), resultOf(idOf(index)))
      expect(Object.keys(actor.getSnapshot().children)).toEqual([])
      expect(actor.getSnapshot().children).toBe(children)
      expect(actor.getSnapshot().context).toBe(context)
    }
    expect(registry.activeCount).toBe(25)
    await runtime.close({ policy: 'terminate' })
  })

  it('is not where a finished operation is kept: it leaves with its record', async () => {
    const { runtime, registry, records } = await open()
    await registry.registerOperation(specOf(1))
    await registry.provisioningSucceeded(idOf(1))
    await registry.completeOperation(idOf(1), resultOf(idOf(1)))
    expect(records.rows.size).toBe(1)
    await registry.collectCompleted()
    expect(records.rows.size).toBe(0)
    await runtime.close()
  })
})

describe('an actor id, which XState lets two children share without a word', () => {
  it('is the same for every operation, and none is lost by it', async () => {
    const { runtime, registry, records } = await open()
    for (const index of [1, 2, 3]) {
      await registry.registerOperation(specOf(index))
      await registry.provisioningSucceeded(idOf(index))
    }
    expect([...records.rows.values()].map(({ actor }) => actor.id)).toEqual(['operation', 'operation', 'operation'])
    await registry.completeOperation(idOf(2), resultOf(idOf(2)))
    expect([1, 2, 3].map((index) => registry.snapshot(idOf(index))?.status)).toEqual([
      'running',
      'completed',
      'running',
    ])
    await runtime.close({ policy: 'terminate' })
  })

  it('never becomes part of an event type, of which every state remembers all it has seen', async () => {
    const types = new Set<string>()
    const inspect = (event: InspectionEvent): void => {
      if (event.type === '@xstate.event') types.add(event.event.type)
    }
    const { runtime, registry } = await open({ inspect })
    const cycle = async (index: number): Promise<void> => {
      await registry.registerOperation(specOf(index))
      await registry.provisioningSucceeded(idOf(index))
      await registry.completeOperation(idOf(index), resultOf(idOf(index)))
    }
    await cycle(1)
    const afterOne = [...types].toSorted()
    expect(afterOne).toContain('xstate.done.actor.operation')
    for (const index of [2, 3, 4]) await cycle(index)
    expect([...types].toSorted()).toEqual(afterOne)
    await runtime.close()
  })
})

describe('delayed transitions, whose table XState scans whenever any actor ends', () => {
  // The idle wake has one actor per session, in a system of its own, and holds one timeout at most.
  it.each(exported.filter(([name]) => name !== 'idleWakeMachine'))('are not in %s', (_, machine) => {
    expect(nodesOf(machine.root).flatMap(({ after }) => after)).toEqual([])
  })

  it('are not made by work with deadlines: one timeout for all, none in the actor system', async () => {
    const { runtime, session, clock, actor } = await open()
    const runs = Array.from({ length: 20 }, (_, index) => {
      const request = { kind: 'background_tool_op', displayName: `run ${index}` } as const
      const hasStarted = createDeferred<void>()
      const task = ({ signal }: WorkContext): Promise<void> => {
        hasStarted.resolve()
        return untilAborted(signal)
      }
      return { hasStarted: hasStarted.promise, handle: session.run(request, task, { deadlineMs: 1000 + index }) }
    })
    await Promise.all(runs.map(({ hasStarted }) => hasStarted))
    expect(session.operations.activeCount).toBe(20)
    expect(actor.system.getSnapshot()).toEqual({ _scheduledEvents: {} })
    expect(clock.pendingTimeouts).toBe(1)
    await runtime.close({ policy: 'terminate' })
    expect((await Promise.all(runs.map(({ handle }) => handle.outcome))).map(({ type }) => type)).toEqual(
      Array.from({ length: 20 }, () => 'terminated'),
    )
    expect(clock.pendingTimeouts).toBe(0)
  })
})

async function untilAborted(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

describe('an operation actor that breaks', () => {
  it('would end neither its siblings nor its registry nor the process: what is sent to it from outside never gets there', async () => {
    const { runtime, registry, actor, records } = await open()
    for (const index of [1, 2]) await registry.registerOperation(specOf(index))
    const [broken, sibling] = [...records.rows.values()].map((row) => row.actor as AnyActorRef)
    const uncaught = await uncaughtDuring(() =>
      broken?.send({ type: 'xstate.error.actor.tool', error: new Error('broken'), actorId: 'tool' }),
    )
    expect(uncaught).toEqual([])
    for (const one of [broken, sibling])
      expect(one?.getSnapshot()).toMatchObject({ status: 'active', value: 'provisioning' })
    expect(actor.getSnapshot()).toMatchObject({ status: 'active', value: 'open' })
    await registry.provisioningSucceeded(idOf(1))
    await runtime.close({ policy: 'terminate' })
  })

  it('of the stock class poisons its registry, which refuses to guess from then on', async () => {
    const { runtime, registry, actor } = await open()
    await registry.registerOperation(specOf(1))
    const fault = { type: 'xstate.error.actor.operation', error: new Error('broken'), actorId: 'operation' }
    const uncaught = await uncaughtDuring(() => actor.send(fault as never))
    expect(uncaught).toEqual([])
    expect(actor.getSnapshot()).toMatchObject({ status: 'active', value: 'poisoned' })
    const poisoned = { code: 'internal', data: { detail: 'ops lifecycle registry poisoned' } }
    await expect(registry.provisioningSucceeded(idOf(1))).rejects.toMatchObject(poisoned)
    expect(() => registry.snapshot(idOf(1))).toThrow(expect.objectContaining(poisoned))
    expect(() => registry.completionCursor('agent_applied')).toThrow(expect.objectContaining(poisoned))
    await runtime.close().catch(() => {})
  })

  it('is not the only way to break: a registry that breaks itself does not end the process either', async () => {
    const { runtime, registry, records } = await open()
    await registry.registerOperation(specOf(1))
    records.advance = () => {
      throw new Error('broken half-way')
    }
    const uncaught = await uncaughtDuring(async () => {
      await expect(registry.provisioningSucceeded(idOf(1))).rejects.toMatchObject({ code: 'internal' })
    })
    expect(uncaught).toEqual([])
    expect(() => registry.completionCursor('agent_applied')).toThrow(expect.objectContaining({ code: 'internal' }))
    await runtime.close().catch(() => {})
  })
})

describe('a registry that is stopped', () => {
  it.each([
    ['open', []],
    ['draining', [{ type: 'owner.drain' }]],
    ['retired', [{ type: 'owner.retire' }]],
    ['poisoned', [{ type: 'fault', cause: 'for the test' }]],
  ] as const)(
    'stops the actors of its operations, which XState would leave running, when it is %s',
    async (_, steps) => {
      const { registry, records, actor } = await open()
      for (const index of [1, 2]) await registry.registerOperation(specOf(index))
      const actors = [...records.rows.values()].map((row) => row.actor as AnyActorRef)
      for (const step of steps) actor.send(step)
      registry.dispose()
      expect(actors.map((one) => one.getSnapshot().status)).toEqual(['stopped', 'stopped'])
    },
  )

  it('stops them in the same pass when somebody else stops its actor, or when it has broken before', async () => {
    const { registry, records, actor, session } = await open()
    await registry.registerOperation(specOf(1))
    const [operation] = [...records.rows.values()].map((row) => row.actor as AnyActorRef)
    let completed = 0
    operation?.subscribe({ complete: () => (completed += 1) })
    actor.stop()
    expect([operation?.getSnapshot().status, completed]).toEqual(['stopped', 1])
    session.history.core.stop()
    expect(completed).toBe(1)
  })
})

describe('a snapshot, which XState changes while restoring from it', () => {
  it('that is imported may be frozen, and is left as it was', async () => {
    const { runtime, registry } = await open()
    for (const index of [1, 2]) {
      await registry.registerOperation(specOf(index))
      await registry.provisioningSucceeded(idOf(index))
      await registry.completeOperation(idOf(index), resultOf(idOf(index)))
    }
    const snapshot = deepFrozen(JSON.parse(JSON.stringify(registry.capturePersistenceSnapshot())))
    const before = JSON.stringify(snapshot)
    const imported = await runtime.importSession('copy', snapshot)
    expect(imported.operations.listOperations().map(({ id, status }) => [id, status])).toEqual([
      [idOf(1), 'completed'],
      [idOf(2), 'completed'],
    ])
    expect((await imported.operations.collectCompleted()).map(({ operationId }) => operationId)).toEqual([
      idOf(1),
      idOf(2),
    ])
    expect(JSON.stringify(snapshot)).toBe(before)
    await runtime.close()
  })
})

function deepFrozen<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) deepFrozen(inner)
  return Object.freeze(value)
}

describe('the pure transition functions, which make a whole actor and run the context factory without input each time', () => {
  const root = join(import.meta.dirname, '../..')
  const sources = ['src', 'machines', 'actors'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => join(entry.parentPath, entry.name)),
  )
  const pure =
    /\b(?:transition|initialTransition|getMicrosteps|getInitialMicrosteps|getNextSnapshot|getInitialSnapshot)\b/
  const importers = sources
    .map((file) => ({ file: relative(root, file), text: readFileSync(file, 'utf8') }))
    .filter(({ text }) =>
      [...text.matchAll(/import\s+\{([^}]*)\}\s+from\s+'xstate(?:\/[a-z]+)?'/g)].some(([, names = '']) =>
        pure.test(names),
      ),
    )
    // The test kit walks charts of its users, whose time is not the service's.
    .filter(({ file }) => !file.startsWith('src/testing/'))

  it('drive no live actor: nothing outside the charts imports them', () => {
    expect(sources.length).toBeGreaterThan(40)
    expect(importers.map(({ file }) => file).filter((file) => !file.startsWith('machines/'))).toEqual([])
  })

  it('are only ever given a chart whose context is a plain value', () => {
    const driven = exported.filter(([name]) => importers.some(({ text }) => new RegExp(`\\(${name}\\b`).test(text)))
    expect(driven.length).toBe(importers.length)
    expect(driven.filter(([, { config }]) => typeof config.context === 'function').map(([name]) => name)).toEqual([])
  })
})
