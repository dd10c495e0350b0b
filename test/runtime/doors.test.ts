import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { StatewardError } from '../../src/base/errors.js'
import * as main from '../../src/index.js'
import { createHttpHandler } from '../../src/http/index.js'
import { createInspectorHandler, createStatelyInspector } from '../../src/inspect/index.js'
import { createMcpTasks, elicit } from '../../src/mcp/index.js'
import { createTaskStore } from '../../src/mcp/v1/index.js'
import type { Journal } from '../../src/journal/journal.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import * as processes from '../../src/processes/public.js'
import * as rooms from '../../src/tasks/public.js'
import { idOf, specOf } from '../operations/support/registry.js'

/** A runtime in which one operation runs and one has ended, and what was written so far. */
interface Place {
  readonly runtime: main.Runtime
  readonly session: main.Session
  readonly operations: main.OperationRegistry
  readonly tasks: rooms.Tasks
  readonly taskId: rooms.TaskId
  readonly turn: main.Turn
  readonly written: () => number
}

const job = { kind: 'background_tool_op', displayName: 'job' } as const
const runId = '01900000-0000-7000-8000-000000000001'
const otherId = '01900000-0000-7000-8000-000000000002'
const logger = main.silentLogger
const work = (): void => {}
const idle = main.defineProcess('idle', { disposition: 'rerunnable' }, work)

async function openPlace(): Promise<Place> {
  const store = createMemoryJournal()
  let written = 0
  const counting = {
    async open() {
      const { journal, recovery } = await store.open()
      const append: Journal['append'] = (records) => {
        written += records.length
        return journal.append(records)
      }
      const proxy = new Proxy(journal, {
        get(target, key) {
          if (key === 'append') return append
          const value: unknown = Reflect.get(target, key, target)
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
      return { journal: proxy, recovery }
    },
  }
  const runtime = await main.createRuntime({ store: counting, clock: new SimulatedClock() })
  onTestFinished(() => runtime.close({ policy: 'terminate' }))
  const session = runtime.session('owner')
  const { operations } = session
  for (const number of [1, 2]) {
    await operations.registerOperation(specOf(number))
    await operations.provisioningSucceeded(idOf(number))
  }
  await operations.cancelOperation(idOf(2))
  const taskId = await runtime.tasks.submit({ kind: 'nobody handles it' })
  await runtime.flush()
  const turn = session.turn(runId)
  return { runtime, session, operations, tasks: runtime.tasks, taskId, turn, written: () => written }
}

/** A door that takes an object of options. */
interface OptionsDoor {
  readonly name: string
  readonly call: (place: Place, options: never) => unknown
  /** Options that would be taken. */
  readonly good: object | ((place: Place) => object)
  /** Values that are refused, by field; several for fields with bounds. */
  readonly bad: Readonly<Record<string, readonly unknown[]>>
  /** The field under which a caller's own object is refused as a whole: it may have more than is called. */
  readonly isPort?: string
  /** True where a text stands for an object of one field. */
  readonly takesText?: boolean
}

const notText = [7, null, {}]
const notCounts = [1.5, -1, Number.NaN, '5', null, 5n]
const notFunctions = [5, 'x', null, {}]
const notDurations = ['5000', -1, Number.NaN, Number.POSITIVE_INFINITY, Date.UTC(2026, 0), null, 5n]
const notSignals = [5, {}, null, new AbortController()]
const notPorts = [5, null, {}, []]
const result = { id: idOf(1), content: '', isError: false, durationMs: 0, tokensUsed: 0 }
const peer = {
  peerName: 'peer',
  trustedPeer: {
    peerId: 'peer',
    name: 'peer',
    address: { transport: 'tcp', endpoint: 'there' },
    pubkey: new Uint8Array(32),
  },
}
const host = { isQuiescent: () => true, inject: () => true }
const obligation = { waitRequestId: otherId, turnId: runId, operationIds: [] }

const handlerFaults = {
  reserve: [5, null, []],
  'reserve.token': notCounts,
  concurrency: [0, ...notCounts],
  rate: [5, null, []],
  'rate.starts': [0, ...notCounts],
  backoff: [5, null],
}

const optionDoors: readonly OptionsDoor[] = [
  {
    name: 'createRuntime',
    call: (_, options) => main.createRuntime(options),
    good: {},
    bad: {
      dataDir: [5, '', null],
      store: notPorts,
      clock: [...notPorts, { ...main.systemClock, wallNow: 0 }],
      ids: notPorts,
      inspect: [5, null],
      'inspect.port': [-1, 65_536, '80', 1.5],
      'inspect.actions': [1, 'yes', null],
      'inspect.values': [1, 'yes', null],
      'inspect.mask': ['secret', 5, null],
      'inspect.sample': [-0.1, 1.1, '1', null],
      'inspect.capacity': [9, 1.5, '10', null],
      logger: [...notPorts, { ...logger, warn: undefined }],
      tracer: notPorts,
      compactAfter: ['x', 0, 1.5, Number.NaN, null],
      tasks: [5, null, []],
      random: notFunctions,
      'tasks.concurrency': [...notCounts, 0],
      'tasks.leaseMs': [2999, 86_400_001, '300000'],
      'tasks.owner': ['', 5],
      'tasks.capabilities': ['all', 5],
      'tasks.backoff': [5, null],
      'tasks.define': [5, null, {}],
    },
  },
  {
    name: 'Runtime.session',
    call: ({ runtime }, options) => runtime.session('another', options),
    good: {},
    bad: {
      maxConcurrent: notCounts,
      maxCompleted: notCounts,
      whenFull: ['wait', 5, null],
      maxQueued: notCounts,
      kinds: [5, null],
      'kinds.background_tool_op': [5, null],
      'kinds.background_tool_op.limit': [0, '5', null],
    },
  },
  {
    name: 'Runtime.session of one that is there',
    call: ({ runtime }, options) => runtime.session('owner', options),
    good: {},
    bad: {
      maxConcurrent: notCounts,
      maxCompleted: notCounts,
      whenFull: ['wait', 5, null],
      maxQueued: notCounts,
      kinds: [5, null],
      'kinds.background_tool_op': [5, null],
      'kinds.background_tool_op.limit': [0, '5', null],
    },
  },
  {
    name: 'Runtime.close',
    call: ({ runtime }, options) => runtime.close(options),
    good: {},
    bad: { policy: ['wait', 5, null], graceMs: notDurations, reason: notText },
  },
  {
    name: 'Session.close',
    call: ({ session }, options) => session.close(options),
    good: { policy: 'retire', graceMs: 0, reason: '' },
    bad: { policy: ['wait', 5, null], graceMs: notDurations, reason: notText },
  },
  {
    name: 'Session.run request',
    call: ({ session }, request) => session.run(request, work).outcome,
    good: job,
    // A text is the display name.
    takesText: true,
    bad: {
      kind: ['task', 5, null],
      displayName: notText,
      id: ['x', 5, null],
      sourceLabel: notText,
      operationSource: [5, null],
      'operationSource.kind': ['x', 5],
    },
  },
  {
    name: 'Session.run options',
    call: ({ session }, options) => session.run(job, work, options).outcome,
    good: {},
    bad: {
      deadlineMs: notDurations,
      signal: notSignals,
      parent: [5, null, {}],
      outlivesParent: [5, 'yes', null],
      key: ['', 5, null],
    },
  },
  {
    name: 'Session.rerunLost options',
    call: ({ session }, options) => session.rerunLost(() => work, options),
    good: {},
    bad: { deadlineMs: notDurations, signal: notSignals },
  },
  {
    name: 'Session.all',
    call: ({ session }, options) => session.all([], options),
    good: {},
    bad: { signal: notSignals },
  },
  {
    name: 'Session.waitAll',
    call: ({ session }, options) => session.waitAll(runId, [idOf(1)], options),
    good: {},
    bad: { signal: notSignals },
  },
  {
    name: 'Session.wakeWhenIdle',
    call: ({ session }, options) => session.wakeWhenIdle(options),
    good: host,
    bad: { isQuiescent: notFunctions, inject: notFunctions, processQueue: [5, null], ownsRuntime: [5, null] },
    isPort: 'host',
  },
  {
    name: 'OperationRegistry.registerOperation',
    call: ({ operations }, spec) => operations.registerOperation(spec),
    good: specOf(3),
    bad: {
      id: ['x', null],
      kind: ['x', null],
      displayName: notText,
      sourceLabel: notText,
      expectPeerChannel: [true, null],
    },
  },
  {
    name: 'OperationRegistry.admit',
    call: ({ operations }, spec) => operations.admit(spec),
    good: specOf(3),
    bad: { ownerSessionId: ['', ' ', 5, null] },
  },
  {
    name: 'OperationRegistry.completeOperation',
    call: ({ operations }, answer) => operations.completeOperation(idOf(1), answer),
    good: result,
    bad: {
      'result.id': [null, idOf(2)],
      'result.content': notText,
      'result.isError': ['false', null],
      'result.durationMs': notCounts,
      'result.tokensUsed': notCounts,
    },
  },
  {
    name: 'OperationRegistry.reportProgress',
    call: ({ operations }, progress) => operations.reportProgress(idOf(1), progress),
    good: { message: 'half' },
    bad: { message: notText, fraction: ['0.5', Number.NaN, null, -0.1, 1.5, 50] },
  },
  {
    name: 'OperationRegistry.peerReady',
    call: ({ operations }, handle) => operations.peerReady(idOf(1), handle),
    good: peer,
    bad: { peerName: ['', 5, null] },
  },
  {
    name: 'OperationRegistry.registerWatcher',
    call: ({ operations }, options) => operations.registerWatcher(idOf(1), options),
    good: {},
    bad: { signal: notSignals },
  },
  {
    name: 'OperationRegistry.waitAll',
    call: ({ operations }, options) => operations.waitAll(runId as main.TurnId, [idOf(1)], options),
    good: {},
    bad: { signal: notSignals },
  },
  {
    name: 'OperationRegistry.acknowledgeObligation',
    call: ({ operations }, given) => operations.acknowledgeObligation(given),
    good: obligation,
    bad: { waitRequestId: notText, turnId: notText, operationIds: [5, null, 'x'] },
  },
  {
    name: 'Feed.entries',
    call: ({ session }, options) => session.feed.entries(options),
    good: {},
    bad: { after: notCounts, signal: notSignals },
  },
  {
    name: 'Feed.observe',
    call: ({ session }, options) => session.feed.observe(options),
    good: {},
    bad: { after: notCounts, signal: notSignals },
  },
  {
    name: 'Feed.waitForAdvance',
    call: ({ session }, options) => session.feed.waitForAdvance(0, options),
    good: {},
    bad: { signal: notSignals },
  },
  {
    name: 'Turn',
    call: (_, options) => new main.Turn(options),
    good: { turnId: runId },
    bad: { turnId: notText, operations: notPorts, inspect: [5, {}, null] },
  },
  {
    name: 'Turn.awaitOperations',
    call: ({ turn }, options) => turn.awaitOperations([], options),
    good: {},
    bad: { signal: notSignals },
  },
  {
    name: 'TurnBoundary',
    call: (_, options) => new main.TurnBoundary(options),
    good: ({ operations }) => ({ operations, edit: work }),
    bad: { operations: notPorts, edit: notFunctions, enrich: notFunctions, onDelivered: notFunctions },
  },
  {
    name: 'IdleWake',
    call: (_, options) => new main.IdleWake(options),
    good: ({ operations }) => ({ operations, host }),
    bad: {
      operations: notPorts,
      host: [...notPorts, { ...host, inject: undefined }, { ...host, ownsRuntime: 5 }],
      clock: notPorts,
      logger: notPorts,
      inspect: [5, {}, null],
    },
  },
  {
    name: 'createUuidSource',
    call: (_, options) => main.createUuidSource(options),
    good: { now: () => 0 },
    bad: { now: notFunctions, random: notFunctions },
  },
  {
    name: 'runCommand',
    call: (_, options) => main.runCommand('true', [], options),
    good: {},
    bad: {
      cwd: ['', 5, null],
      env: [5, null],
      signal: notSignals,
      timeoutMs: notDurations,
      graceMs: notDurations,
      onLine: notFunctions,
      clock: [5, null],
    },
  },
  {
    name: 'createDirectoryJournal',
    call: (_, options) => main.createDirectoryJournal(options),
    good: { directory: 'never made' },
    bad: {
      directory: ['', 5, null],
      segmentBytes: [1, '16777216', null],
      tornTail: ['keep', null],
      onDamage: ['keep', null],
      lockWaitMs: [-1, '5', null, Number.NaN],
      logger: notPorts,
      clock: notPorts,
      fileSystem: notPorts,
    },
  },
  {
    name: 'readDirectoryJournal',
    call: (_, options) => main.readDirectoryJournal(options),
    good: { directory: 'never made' },
    bad: { directory: ['', 5, null], fileSystem: notPorts },
  },
  {
    name: 'createHttpHandler',
    call: (_, options) => createHttpHandler(options),
    good: ({ runtime }) => ({ runtime, unprotected: true }),
    bad: {
      runtime: notPorts,
      token: ['short', 5, null, []],
      authorize: notFunctions,
      unprotected: [1, 'true', null],
      hosts: ['all', [''], [5], null],
      origins: ['https://a.example', null],
      basePath: ['x', '/', '/x/', '', 5, null],
      routes: [[{}], [null], 'x', null],
      maxBodyBytes: notCounts,
      maxStreams: notCounts,
      heartbeatMs: notDurations,
      stallMs: notDurations,
      clock: notPorts,
      logger: notPorts,
    },
  },
  {
    name: 'createMcpTasks',
    call: ({ runtime }, options) => createMcpTasks(runtime, options),
    good: {},
    bad: {
      principal: notFunctions,
      authorize: notFunctions,
      ttlMs: ['5000', -1, Number.NaN, 5n],
      maxTtlMs: notDurations,
      inputGraceMs: notDurations,
      keepEndedMs: notDurations,
      ttlAction: ['end', 5, null],
      pollIntervalMs: [86_400_001, ...notCounts],
      recoverOnStart: [1, 'yes', null],
      exposeErrors: [1, 'yes', null],
      companionTools: [1, 'yes', null],
      limits: [5, null],
      'limits.maxLivePerPrincipal': [0, ...notCounts],
      'limits.maxLive': [0, ...notCounts],
      'limits.maxResultBytes': [255, 64 * 2 ** 20 + 1, ...notCounts],
      'limits.maxArgumentBytes': [1, 2 ** 20, ...notCounts],
      'limits.maxAnswerBytes': [1, 2 ** 20, ...notCounts],
      'limits.maxOpenQuestions': [0, 1001, ...notCounts],
      'limits.maxStreamsPerPrincipal': [0, ...notCounts],
      'limits.maxQueuedNotifications': [0, ...notCounts],
      'limits.minPollMs': [0, ...notCounts],
      random: notFunctions,
    },
  },
  {
    name: 'McpTasks.tool',
    call: ({ runtime }, options) => createMcpTasks(runtime).tool('job', options, () => ({ content: [] })),
    good: {},
    bad: {
      title: notText,
      description: notText,
      inputSchema: [5, {}, null],
      outputSchema: [5, {}, null],
      taskSupport: ['never', 5, null],
      ttlMs: ['5000', -1, Number.NaN, 5n],
      pollIntervalMs: [86_400_001, ...notCounts],
      inlineMs: notDurations,
      annotations: [5, 'x', null],
      dedupe: notFunctions,
      before: notFunctions,
    },
  },
  {
    name: 'McpTasks.tool of a definition',
    call: ({ runtime }, options) => createMcpTasks(runtime).tool(idle, options),
    good: { name: 'job' },
    bad: { taskSupport: ['never', 5, null], pollIntervalMs: notCounts, inlineMs: notDurations },
  },
  {
    name: 'McpTasks.list',
    call: ({ runtime }, options) => createMcpTasks(runtime).list(options),
    good: { principal: 'alice' },
    bad: { principal: notText },
  },
  {
    name: 'createTaskStore',
    call: ({ runtime }, options) => createTaskStore(createMcpTasks(runtime), options),
    good: { principal: 'alice' },
    bad: { principal: ['', 5, null] },
  },
  {
    name: 'createInspectorHandler',
    call: (_, options) => createInspectorHandler(options),
    good: ({ runtime }) => ({ runtime }),
    bad: {
      runtime: notPorts,
      token: ['short', 'with a space in it', 5, null],
      authorize: notFunctions,
      hosts: ['any', [''], [5], null],
      basePath: ['x', '/', '/x/', '', 5, null],
      filter: notFunctions,
      actions: [1, 'yes', null],
      values: [1, 'yes', null],
      mask: ['secret', 5, null],
      sample: [-0.1, 1.1, '1', null],
      capacity: [9, 1.5, '10', null],
      clock: notPorts,
      logger: notPorts,
    },
  },
  {
    name: 'createStatelyInspector',
    call: (_, options) => createStatelyInspector(options),
    good: { adapter: { send: work } },
    bad: {
      url: [5, null],
      adapter: notPorts,
      filter: notFunctions,
      sample: ['1', 1.1, -0.1, Number.NaN, null],
      maxQueued: [0, ...notCounts],
      serialize: notFunctions,
      reconnectMs: ['5', -1, 2 ** 31, Number.NaN, null],
      clock: notPorts,
      logger: notPorts,
    },
  },
  {
    name: 'Tasks.submit',
    // Text would be the kind of another task.
    call: ({ tasks }, input) => tasks.submit((typeof input === 'string' ? [input] : input) as never),
    good: { kind: 'work' },
    bad: {
      kind: notText,
      id: ['x', 5, null],
      payload: [work, Symbol('x'), 5n, new Map(), new Date(0), Number.NaN],
      'payload.at': [new Date(0)],
      contentType: notText,
      key: notText,
      after: [5, 'x', null],
      runPolicy: [5, null],
      'runPolicy.type': ['twice', 5],
      at: notCounts,
      constraints: [5, null, []],
      'constraints.maxAttempts': [1.5, '3', null],
      'constraints.maxAttemps': [3],
      metadata: [5, null, []],
      'metadata.priority': [1.5, '3', null],
      'metadata.prio': [3],
      parentTaskId: ['x', 5, null],
      tenantId: ['x', 5, null],
      dependsOn: [5, 'x', null],
      budgets: [5, null, []],
      'budgets.token': notCounts,
      releasedBy: [5, null],
    },
  },
  {
    name: 'Tasks.submitGraph, one of its tasks',
    call: ({ tasks }, node) => tasks.submitGraph({ one: node }),
    good: { kind: 'work' },
    bad: { 'one.kind': notText, 'one.at': notCounts, 'one.parent': [5, null], 'one.dependsOn': [5, null, 'one'] },
  },
  {
    name: 'Tasks.submit, of a kind',
    call: ({ tasks }, options) => tasks.submit('work', 'input', options),
    good: {},
    bad: {
      key: notText,
      at: notCounts,
      dependsOn: [5, 'x', null],
      after: [5, 'x', null],
      kind: ['work'],
      payload: [5],
    },
  },
  {
    name: 'Tasks.handle',
    call: ({ tasks }, options) => tasks.handle('work', work, options),
    good: {},
    bad: handlerFaults,
  },
  {
    name: 'defineTask',
    call: (_, options) => main.defineTask('work', options, work),
    good: {},
    bad: {
      ...handlerFaults,
      maxAttempts: [0, ...notCounts],
      timeoutMs: [0, ...notCounts],
      version: ['', 1.5, null],
      maxLosses: [0, ...notCounts],
      input: [5, {}, null],
      output: [5, {}, null],
      maxAttemps: [3],
    },
  },
  {
    name: 'defineDaemon',
    call: (_, options) => main.defineDaemon('indexer', work, options),
    good: {},
    bad: { id: ['short', 5, null], graceMs: [-1, '5', null] },
  },
  {
    name: 'defineProcess',
    call: (_, options) => main.defineProcess('kind', options, work),
    good: { disposition: 'rerunnable' },
    bad: {
      disposition: ['external', 5, null, undefined],
      maxAttempts: [0, ...notCounts],
      concurrency: [0, ...notCounts],
      version: ['', 1.5, null],
      input: [5, {}, null],
      output: [5, {}, null],
      events: [5, null, []],
      signals: [5, null, []],
      wakes: [5, null, {}],
    },
  },
  {
    name: 'Processes.start',
    call: ({ runtime }, options) => runtime.processes.start(idle, null, options),
    good: {},
    bad: { id: [5, '', 'ä', null], label: [5, '', null], originator: [5, null], wakeTarget: [5, null] },
  },
  {
    name: 'Processes.startCommand',
    call: ({ runtime }, options) => runtime.processes.startCommand(options),
    good: { command: 'true', recover: 'reap' },
    bad: {
      command: [5, '', null],
      args: [5],
      recover: ['never', null],
      timeoutMs: [-1, '5'],
    },
  },
  {
    name: 'ProcessHandle.result',
    call: ({ runtime }, options) => runtime.processes.get(idle, 'p').result(options),
    good: { timeoutMs: 0 },
    bad: { signal: notSignals, timeoutMs: [-1, '5', null, Number.NaN] },
  },
  {
    name: 'ProcessHandle.events',
    call: ({ runtime }, options) => runtime.processes.get(idle, 'p').events(options),
    good: {},
    bad: { after: [...notCounts], steps: [5, null], signal: notSignals },
  },
  {
    name: 'ProcessHandle.observe',
    call: ({ runtime }, options) => runtime.processes.get(idle, 'p').observe(options),
    good: {},
    bad: { after: [...notCounts], steps: [5, null], signal: notSignals },
  },
  {
    name: 'ProcessHandle.signal',
    call: ({ runtime }, options) => runtime.processes.get(undefined, 'p').signal('go', null, options),
    good: {},
    bad: { id: [5, '', null] },
  },
  {
    name: 'watchStore',
    call: async (_, options) => processes.watchStore(await processes.openProcessStore(), options),
    good: { sink: { emit: work } },
    bad: {
      sink: [5, {}, null],
      sinkTimeoutMs: notCounts,
      emitLifecycle: ['true', null],
      onEnd: [5, null],
      onWake: [5, null],
      clock: [5, {}, null],
      logger: [5, {}, null],
    },
  },
  {
    name: 'Awaiter',
    call: (_, options) => new processes.Awaiter(options),
    good: { store: { getTerminal: work, firstEventAfter: work, eventsAfter: work }, clock: main.systemClock },
    bad: { store: [5, {}, null], hub: [5, {}, null], clock: [5, {}, null], longestPollMs: [0, ...notCounts] },
  },
  {
    name: 'BoundedQueueSink',
    call: (_, options) => new processes.BoundedQueueSink(work, options),
    good: { capacity: 1 },
    bad: { capacity: [0, ...notCounts], onError: [5, null] },
  },
  {
    name: 'TaskHandle.result',
    call: ({ tasks, taskId }, options) => tasks.find('nobody handles it', taskId)?.result(options),
    good: {},
    bad: { signal: notSignals, timeoutMs: [-1, '5', null, Number.NaN] },
  },
  {
    name: 'Tasks.questions',
    call: ({ tasks }, options) => tasks.questions(options),
    good: {},
    bad: { taskId: ['x', 5, null] },
  },
  {
    name: 'Tasks.outcome',
    call: ({ tasks, taskId }, options) => tasks.outcome(taskId, options),
    good: {},
    bad: { signal: notSignals },
  },
  {
    name: 'Tasks.subscribe',
    call: ({ tasks, taskId }, options) => tasks.subscribe(taskId, { type: 'custom', key: 'x' }, options),
    good: {},
    bad: { rearm: ['true', 1, null] },
  },
  {
    name: 'TaskAuthority.submit',
    call: ({ tasks }, options) => tasks.authority.submit({ type: 'engine_pause', atMs: 1 }, options),
    good: {},
    bad: { expectedSequence: notCounts, durability: ['later', 5, null] },
  },
  {
    name: 'TaskAuthority.submitBatch',
    call: ({ tasks }, options) => tasks.authority.submitBatch([{ type: 'engine_pause', atMs: 1 }], options),
    good: {},
    bad: { expectedSequence: notCounts, durability: ['later', 5, null] },
  },
  {
    name: 'TaskAuthority.transact',
    call: ({ tasks }, options) => tasks.authority.transact(work, options),
    good: {},
    bad: { expectedSequence: notCounts, durability: ['later', 5, null] },
  },
  {
    name: 'createTaskSpec',
    call: (_, input) => rooms.createTaskSpec(input),
    good: { id: runId, kind: 'work' },
    bad: { id: ['x', null], kind: notText, 'constraints.timeout': [5], 'metadata.name': ['x'] },
  },
  {
    name: 'createRun',
    call: (_, input) => rooms.createRun(input),
    good: { id: runId, taskId: otherId, createdAtMs: 0, scheduledAtMs: 0 },
    bad: {
      id: ['x', null],
      taskId: ['x', null],
      createdAtMs: notCounts,
      scheduledAtMs: notCounts,
      priority: ['1', 1.5],
    },
  },
  {
    name: 'heartbeatTimeout',
    call: (_, policy) => rooms.heartbeatTimeout(policy),
    good: { intervalMs: 1, timeoutMultiplier: 1 },
    bad: { intervalMs: notCounts, timeoutMultiplier: notCounts },
  },
  {
    name: 'outcomeFromParts',
    call: (_, parts) => rooms.outcomeFromParts(parts),
    good: { result: 'success' },
    bad: { result: ['fine', null], error: notText, output: [5, '?'], failureClass: ['x', null] },
  },
]

/** Doors that take values one by one: what is called, and the field that is refused. */
const valueDoors: readonly (readonly [name: string, field: string, call: (place: Place) => unknown])[] = [
  ...notText.flatMap((id) => [
    ['McpTasks.get', '$', ({ runtime }: Place) => createMcpTasks(runtime).get(id as never)] as const,
    ['McpTasks.cancel', '$', ({ runtime }: Place) => createMcpTasks(runtime).cancel(id as never)] as const,
    ['McpTasks.complete', '$', ({ runtime }: Place) => createMcpTasks(runtime).complete(id as never, {})] as const,
    [
      'McpTasks.fail',
      '$',
      ({ runtime }: Place) => createMcpTasks(runtime).fail(id as never, { code: 1, message: '' }),
    ] as const,
    [
      'McpTasks.tool',
      '$',
      ({ runtime }: Place) => createMcpTasks(runtime).tool(id as never, {}, work as never),
    ] as const,
    ['elicit', 'message', () => elicit(id as never, { type: 'object', properties: {} })] as const,
  ]),
  ...[5, 'x', null, {}, { type: 'string' }].map(
    (form) => ['elicit', 'form', () => elicit('name?', form as never)] as const,
  ),
  ...[5, 'x', null, undefined].map(
    (given) =>
      [
        'McpTasks.complete',
        '$',
        ({ runtime }: Place) => createMcpTasks(runtime).complete('id', given as never),
      ] as const,
  ),
  ['McpTasks.fail', 'code', ({ runtime }) => createMcpTasks(runtime).fail('id', { message: '' } as never)],
  ['McpTasks.fail', 'data', ({ runtime }) => createMcpTasks(runtime).fail('id', { code: 1, message: '', data: 5n })],
  ...notText.flatMap((name) => [
    ['Runtime.session', '$', ({ runtime }: Place) => runtime.session(name as never)] as const,
    ['Runtime.findSession', '$', ({ runtime }: Place) => runtime.findSession(name as never)] as const,
    ['Runtime.deleteSession', '$', ({ runtime }: Place) => runtime.deleteSession(name as never)] as const,
    ['Runtime.importSession', '$', ({ runtime }: Place) => runtime.importSession(name as never, {})] as const,
    ['OperationRegistry.snapshot', '$', ({ operations }: Place) => operations.snapshot(name as never)] as const,
    ['OperationRegistry.isUsed', '$', ({ operations }: Place) => operations.isUsed(name as never)] as const,
    ['OperationRegistry.isTreeClosed', '$', ({ operations }: Place) => operations.isTreeClosed(name as never)] as const,
    [
      'OperationRegistry.provisioningSucceeded',
      '$',
      ({ operations }: Place) => operations.provisioningSucceeded(name as never),
    ] as const,
    [
      'OperationRegistry.requestRetire',
      '$',
      ({ operations }: Place) => operations.requestRetire(name as never),
    ] as const,
    ['OperationRegistry.markRetired', '$', ({ operations }: Place) => operations.markRetired(name as never)] as const,
    [
      'OperationRegistry.registerWatcher',
      '$',
      ({ operations }: Place) => operations.registerWatcher(name as never),
    ] as const,
    [
      'OperationRegistry.classifyPublicResult',
      '$',
      ({ operations }: Place) => operations.classifyPublicResult(name as never),
    ] as const,
    [
      'OperationRegistry.reportProgress',
      '$',
      ({ operations }: Place) => operations.reportProgress(name as never, { message: '' }),
    ] as const,
    [
      'OperationRegistry.peerReady',
      '$',
      ({ operations }: Place) => operations.peerReady(name as never, peer as never),
    ] as const,
    [
      'OperationRegistry.failOperation',
      'error',
      ({ operations }: Place) => operations.failOperation(idOf(1), name as never),
    ] as const,
    [
      'OperationRegistry.provisioningFailed',
      'error',
      ({ operations }: Place) => operations.provisioningFailed(idOf(1), name as never),
    ] as const,
    [
      'OperationRegistry.terminateOwner',
      'reason',
      ({ operations }: Place) => operations.terminateOwner(name as never),
    ] as const,
    ['Turn.fail', '$', ({ turn }: Place) => turn.fail(name as never)] as const,
    ['Tasks.outcome', '$', ({ tasks }: Place) => tasks.outcome(name as never)] as const,
    ['Tasks.cancel', '$', ({ tasks }: Place) => tasks.cancel(name as never)] as const,
    ['Tasks.cancelRun', '$', ({ tasks }: Place) => tasks.cancelRun(name as never)] as const,
    ['Tasks.answer', '$', ({ tasks }: Place) => tasks.answer(name as never, 'question')] as const,
    ['Tasks.answer', 'name', ({ tasks, taskId }: Place) => tasks.answer(taskId, name as never)] as const,
    ['Tasks.forget', '$', ({ tasks }: Place) => tasks.forget(name as never)] as const,
    ['Tasks.reschedule', '$', ({ tasks }: Place) => tasks.reschedule(name as never, { type: 'once' })] as const,
    ['Tasks.retry', '$', ({ tasks }: Place) => tasks.retry(name as never)] as const,
    ['Tasks.why', '$', ({ tasks }: Place) => tasks.why(name as never)] as const,
    ['Tasks.find', '$', ({ tasks }: Place) => tasks.find('work', name as never)] as const,
    ['defineTask', '$', () => main.defineTask(name as never, {}, work)] as const,
    ['defineDaemon', '$', () => main.defineDaemon(name as never, work)] as const,
    ['Tasks.suspend', '$', ({ tasks }: Place) => tasks.suspend(name as never)] as const,
    ['Tasks.resume', 'runId', ({ tasks }: Place) => tasks.resume(name as never)] as const,
    ['Tasks.publish', '$', ({ tasks }: Place) => tasks.publish(name as never)] as const,
    ['Tasks.answer', '$', ({ tasks }: Place) => tasks.answer(name as never, 'question')] as const,
    ['Tasks.answer', 'name', ({ tasks, taskId }: Place) => tasks.answer(taskId, name as never)] as const,
    ['Tasks.questions', 'taskId', ({ tasks }: Place) => tasks.questions({ taskId: name as never })] as const,
    [
      'Tasks.subscribe',
      'taskId',
      ({ tasks }: Place) => tasks.subscribe(name as never, { type: 'custom', key: 'x' }),
    ] as const,
    ['Tasks.unsubscribe', 'subscriptionId', ({ tasks }: Place) => tasks.unsubscribe(name as never)] as const,
    ['Tasks.replenish', 'taskId', ({ tasks }: Place) => tasks.replenish(name as never, 'token', 1)] as const,
    ['Tasks.replenish', '$', ({ tasks, taskId }: Place) => tasks.replenish(taskId, name as never, 1)] as const,
    ['Tasks.handle', '$', ({ tasks }: Place) => tasks.handle(name as never, work)] as const,
    ['parseUuid', '$', () => main.parseUuid(name as never, 'id')] as const,
    ['parseId', '$', () => rooms.parseId(name as never)] as const,
    ['departmentId', '$', () => rooms.departmentId(name as never)] as const,
    ['budgetDimension', '$', () => rooms.budgetDimension(name as never)] as const,
    [
      'TaskProjection.budget',
      '$',
      ({ tasks }: Place) => tasks.projection.budget(name as never, 'token' as never),
    ] as const,
    [
      'TaskProjection.budget',
      '$',
      ({ tasks, taskId }: Place) => tasks.projection.budget(taskId, name as never),
    ] as const,
    [
      'TaskProjection.budgetsFor',
      '$',
      ({ tasks, taskId }: Place) => tasks.projection.budgetsFor(taskId, name as never),
    ] as const,
    ['TaskProjection.role', '$', ({ tasks }: Place) => tasks.projection.role(name as never, runId as never)] as const,
    ['TaskProjection.role', '$', ({ tasks }: Place) => tasks.projection.role(runId as never, name as never)] as const,
    ['encodeBytes', '$', () => rooms.encodeBytes(name as never)] as const,
    ['encodeText', '$', () => rooms.encodeText(name as never)] as const,
    ['decodeBytes', '$', () => rooms.decodeBytes(name as never)] as const,
    ['decodeText', '$', () => rooms.decodeText(name as never)] as const,
  ]),
  ...[7, {}].flatMap((reason) => [
    ['Runtime.deleteSession', '$', ({ runtime }: Place) => runtime.deleteSession('owner', reason as never)] as const,
    [
      'OperationRegistry.abortProvisioning',
      'reason',
      ({ operations }: Place) => operations.abortProvisioning(idOf(1), reason as never),
    ] as const,
    [
      'OperationRegistry.cancelOperation',
      'reason',
      ({ operations }: Place) => operations.cancelOperation(idOf(1), reason as never),
    ] as const,
    ['OperationHandle.cancel', 'reason', ({ session }: Place) => cancelledWith(session, reason)] as const,
  ]),
  ...notFunctions.flatMap((value) => [
    ['Session.run', '$', ({ session }: Place) => session.run(job, value as never).outcome] as const,
    ['Session.rerunLost', '$', ({ session }: Place) => session.rerunLost(value as never)] as const,
    ['SessionView.select', '$', ({ session }: Place) => session.view.select(value as never)] as const,
    ['SessionView.select', '$', ({ session }: Place) => session.view.select(work, value as never)] as const,
    ['Tasks.handle', '$', ({ tasks }: Place) => tasks.handle('work', value as never)] as const,
    ['TaskAuthority.transact', '$', ({ tasks }: Place) => tasks.authority.transact(value as never)] as const,
    ['TaskAuthority.onCommit', '$', ({ tasks }: Place) => tasks.authority.onCommit(value as never)] as const,
  ]),
  ...notCounts.flatMap((cursor) => [
    ['Feed.since', '$', ({ session }: Place) => session.feed.since(cursor as never)] as const,
    ['Feed.gapAfter', '$', ({ session }: Place) => session.feed.gapAfter(cursor as never)] as const,
    ['Feed.waitForAdvance', '$', ({ session }: Place) => session.feed.waitForAdvance(cursor as never)] as const,
    [
      'OperationRegistry.advanceCompletionCursor',
      '$',
      ({ operations }: Place) => operations.advanceCompletionCursor('agent_applied', cursor as never),
    ] as const,
    [
      'OperationRegistry.registerOperationWithAdmissionLimit',
      'limit',
      ({ operations }: Place) => operations.registerOperationWithAdmissionLimit(specOf(3), cursor as never),
    ] as const,
    [
      'OperationRegistry.limitConcurrency',
      'maxConcurrent',
      ({ operations }: Place) => operations.limitConcurrency(cursor as never),
    ] as const,
    [
      'Tasks.replenish',
      'newLimit',
      ({ tasks, taskId }: Place) => tasks.replenish(taskId, 'token', cursor as never),
    ] as const,
  ]),
  ...['nobody', null, 5, '__proto__'].flatMap((word) => [
    ['TaskProjection.runsIn', '$', ({ tasks }: Place) => tasks.projection.runsIn(word as never)] as const,
    ['TaskProjection.countIn', '$', ({ tasks }: Place) => tasks.projection.countIn(word as never)] as const,
    [
      'TaskProjection.hasCapability',
      '$',
      ({ tasks }: Place) => tasks.projection.hasCapability(runId as never, word as never, otherId as never),
    ] as const,
    [
      'OperationRegistry.advanceCompletionCursor',
      '$',
      ({ operations }: Place) => operations.advanceCompletionCursor(word as never, 5),
    ] as const,
    [
      'OperationRegistry.completionCursor',
      '$',
      ({ operations }: Place) => operations.completionCursor(word as never),
    ] as const,
    [
      'OperationRegistry.classifyCompletionWake',
      '$',
      ({ operations }: Place) => operations.classifyCompletionWake(idOf(1), word as never),
    ] as const,
    [
      'OperationRegistry.classifyTerminality',
      '$',
      ({ operations }: Place) => operations.classifyTerminality(idOf(1), word as never),
    ] as const,
    [
      'OperationRegistry.classifyTransitionIdempotence',
      '$',
      ({ operations }: Place) => operations.classifyTransitionIdempotence(idOf(1), word as never),
    ] as const,
  ]),
  ...[undefined, null, 5, 'x', {}].flatMap((list) => [
    [
      'OperationRegistry.waitAll',
      '$',
      ({ operations }: Place) => operations.waitAll(runId as never, list as never),
    ] as const,
    ['OperationRegistry.forgetLost', '$', ({ operations }: Place) => operations.forgetLost(list as never)] as const,
    ['Session.waitAll', '$', ({ session }: Place) => session.waitAll(runId, list as never)] as const,
    ['Session.all', '$', ({ session }: Place) => session.all(list as never)] as const,
    ['Turn.awaitOperations', '$', ({ turn }: Place) => turn.awaitOperations(list as never)] as const,
    ['TaskAuthority.submitBatch', '$', ({ tasks }: Place) => tasks.authority.submitBatch(list as never)] as const,
  ]),
  ...[undefined, null, '5', Number.NaN, 5n].flatMap((instant) => [
    [
      'TaskProjection.dueScheduled',
      '$',
      ({ tasks }: Place) => tasks.projection.dueScheduled(instant as never),
    ] as const,
    ['TaskProjection.dueRetries', '$', ({ tasks }: Place) => tasks.projection.dueRetries(instant as never)] as const,
    [
      'TaskProjection.expiredLeases',
      '$',
      ({ tasks }: Place) => tasks.projection.expiredLeases(instant as never),
    ] as const,
  ]),
  ...[undefined, null, 5].flatMap((id) => [
    [
      'TaskProjection.subscriptionsFor',
      '$',
      ({ tasks }: Place) => tasks.projection.subscriptionsFor(id as never),
    ] as const,
    ['OperationRegistry.waitAll', '$', ({ operations }: Place) => operations.waitAll(id as never, [idOf(1)])] as const,
    ['Session.waitAll', '$', ({ session }: Place) => session.waitAll(id as never, [idOf(1)])] as const,
    ['Session.turn', '$', ({ session }: Place) => session.turn(id as never)] as const,
    [
      'OperationRegistry.waitAll',
      '0',
      ({ operations }: Place) => operations.waitAll(runId as never, [id as never]),
    ] as const,
    ['Session.forgetLost', '0', ({ session }: Place) => session.forgetLost([id as never])] as const,
    ['OperationRegistry.forgetLost', '0', ({ operations }: Place) => operations.forgetLost([id as never])] as const,
    ['Runtime.importSession', '$', ({ runtime }: Place) => runtime.importSession('imported', id)] as const,
    ['Tasks.submitGraph', '$', ({ tasks }: Place) => tasks.submitGraph(id as never)] as const,
    ['TaskAuthority.submit', 'type', ({ tasks }: Place) => tasks.authority.submit(id as never)] as const,
    ['TaskAuthority.submitBatch', 'type', ({ tasks }: Place) => tasks.authority.submitBatch([id as never])] as const,
    ['Tasks.subscribe', 'filter', ({ tasks, taskId }: Place) => tasks.subscribe(taskId, id as never)] as const,
  ]),
  [
    'Turn.awaitOperations',
    '0.waitPolicy',
    ({ turn }) => turn.awaitOperations([{ operationId: idOf(1), waitPolicy: 'wait' as never }]),
  ],
  [
    'Turn.awaitOperations',
    '0.policy',
    ({ turn }) => turn.awaitOperations([{ operationId: idOf(1), waitPolicy: 'barrier', policy: 1 } as never]),
  ],
  ['Turn.drainBoundary', '$', ({ turn }) => turn.drainBoundary({} as never)],
  ['OperationRegistry.retireOwner', 'reason', ({ operations }) => operations.retireOwner(5 as never)],
  [
    'OperationRegistry.terminateOperation',
    'reason',
    ({ operations }) => operations.terminateOperation(idOf(1), 5 as never),
  ],
  [
    'checkPermission',
    '$',
    ({ tasks }) => rooms.checkPermission(tasks.projection, runId as never, null as never, otherId as never),
  ],
  ['MemoryJournalStore.failNext', '$', () => createMemoryJournal().failNext('open' as never)],
  ['SimulatedClock', '$', () => new SimulatedClock(Number.NaN)],
  ['SimulatedClock.advance', '$', () => new SimulatedClock().advance(-1)],
  ['SimulatedClock.setWall', '$', () => new SimulatedClock().setWall('now' as never)],
]

async function cancelledWith(session: main.Session, reason: unknown): Promise<void> {
  await session.run({ ...job, id: idOf(9), kind: 'background_tool_capacity_slot' }, work).cancel(reason as never)
}

async function refusalOf(call: () => unknown): Promise<unknown> {
  try {
    return ['taken', await call()]
  } catch (refusal) {
    return refusal
  }
}

/** What a value is to be refused with: our own error, at this field, with a reason. */
function refusedAt(field: string) {
  return expect.objectContaining({
    code: 'invalid_input',
    data: { subject: expect.stringMatching(/./), field, reason: expect.stringMatching(/./) },
  })
}

function nested(field: string, value: unknown): object {
  const [first = '', ...rest] = field.split('.')
  return { [first]: rest.length === 0 ? value : nested(rest.join('.'), value) }
}

function goodOf({ good }: OptionsDoor, place: Place): object {
  return typeof good === 'function' ? good(place) : good
}

/** The bad value at its place; some refusals name the argument before the field, which the options do not hold. */
function withBad(door: OptionsDoor, place: Place, field: string, value: unknown): object {
  const inside = field.replace(/^(result|one)\./, '')
  return { ...goodOf(door, place), ...nested(inside, value) }
}

describe('a public door', () => {
  let place: Place
  let before: number

  beforeEach(async () => {
    place = await openPlace()
    before = place.written()
  })

  async function expectNothingHappened(): Promise<void> {
    await place.runtime.flush()
    expect(place.written()).toBe(before)
    expect(place.session.operations.activeCount).toBe(1)
    expect([...place.runtime.sessions()].map(({ id }) => id)).toEqual(['owner'])
  }

  describe.each(optionDoors)('$name', (door) => {
    it.each([[null], [7], ['text'], [[]], [work]])('refuses %o in place of its options', async (value) => {
      if (typeof value === 'string' && door.takesText === true) return
      const refusal = await refusalOf(() => door.call(place, value as never))
      expect(refusal).toEqual(expect.objectContaining({ code: 'invalid_input' }))
      await expectNothingHappened()
    })

    it.skipIf(door.isPort !== undefined)('refuses a field nobody knows, and says which are known', async () => {
      const misspelt = { ...goodOf(door, place), misspelt: 1 }
      const refusal = await refusalOf(() => door.call(place, misspelt as never))
      const field = expect.stringMatching(/(^|\.)misspelt$/)
      const reason = expect.stringContaining('unknown, the fields are ')
      const data = expect.objectContaining({ field, reason })
      expect(refusal).toEqual(expect.objectContaining({ code: 'invalid_input', data }))
      await expectNothingHappened()
    })

    const bad = Object.entries(door.bad).flatMap(([field, values]) => values.map((value) => [field, value] as const))
    it.each(bad)('refuses %s: %o', async (field, value) => {
      const refusal = await refusalOf(() => door.call(place, withBad(door, place, field, value) as never))
      const data = StatewardError.is(refusal, 'invalid_input') ? refusal.data : refusal
      expect(data).toMatchObject({ field: door.isPort ?? field })
      await expectNothingHappened()
    })

    it('tells what its options throw as a cause', async () => {
      const thrown = new Error('from a getter')
      const options: object = { ...goodOf(door, place) }
      const [field = ''] = [...Object.keys(options), ...Object.keys(door.bad)]
      const trap = () => {
        throw thrown
      }
      Object.defineProperty(options, field, { enumerable: true, get: trap })
      const refusal = (await refusalOf(() => door.call(place, options as never))) as StatewardError & Error
      expect([refusal.code, refusal.cause]).toEqual(['invalid_input', thrown])
    })
  })

  it('tells what cannot be looked at by its own refusal, too', async () => {
    const { proxy, revoke } = Proxy.revocable<object>([], {})
    revoke()
    const { runtime, session, operations, tasks } = place
    const calls: readonly (() => unknown)[] = [
      () => runtime.session(proxy as never),
      () => runtime.session('owner', proxy),
      () => session.run(proxy as never, work).outcome,
      () => session.waitAll(proxy as never, []),
      () => operations.admit(proxy as never),
      () => operations.waitAll('turn' as never, proxy as never),
      () => operations.reportProgress(proxy as never, proxy as never),
      () => session.feed.since(proxy as never),
      () => session.feed.entries(proxy),
      () => tasks.submit(proxy as never),
      () => tasks.submit({ kind: 'work', constraints: proxy }),
      () => tasks.submit({ kind: 'work', metadata: proxy }),
      () => tasks.submit({ kind: 'work', payload: proxy }),
      () => tasks.submitGraph(proxy),
      () => tasks.handle('work', proxy as never),
      () => tasks.outcome(proxy as never),
      () => tasks.authority.submit(proxy as never),
      () => tasks.authority.submitBatch(proxy as never),
      () => runtime.close(proxy),
      () => main.createRuntime(proxy),
    ]
    const refusals = await Promise.all(calls.map(refusalOf))
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: 'invalid_input' })
    await expectNothingHappened()
  })

  it.each(valueDoors)('%s refuses a wrong value, naming %s (%#)', async (_, field, call) => {
    expect(await refusalOf(() => call(place))).toEqual(refusedAt(field))
    await expectNothingHappened()
  })
})

describe('the table of doors', () => {
  const rows = new Set([...optionDoors.map(({ name }) => name.split(/[ ,]/)[0]), ...valueDoors.map(([name]) => name)])

  /** Doors that are given nothing, or that take anything. */
  const withoutInput = [
    'Runtime.sessions',
    'Runtime.reopen',
    'Runtime.flush',
    'Runtime.compact',
    'Session.flush',
    'Session.dispose',
    // Of use to the directory of sessions only, which has decoded the limits.
    'Session.configure',
    'OperationRegistry.finishTrees',
    'OperationRegistry.drain',
    'OperationRegistry.collectCompleted',
    'OperationRegistry.outstandingObligations',
    'OperationRegistry.dispose',
    'OperationRegistry.listOperations',
    'OperationRegistry.liveIds',
    'OperationRegistry.pendingWaits',
    // Of use to the inspector only, which has the ids from the registry.
    'OperationRegistry.actorOf',
    'OperationRegistry.completionFeed',
    'OperationRegistry.diagnostics',
    'OperationRegistry.capturePersistenceSnapshot',
    'Tasks.start',
    'Tasks.pauseEngine',
    'Tasks.resumeEngine',
    // Of use to the runtime only, which has decoded the grace period.
    'Tasks.close',
    'TaskAuthority.start',
    'TaskAuthority.closeFeed',
    'TaskAuthority.restore',
    'TaskAuthority.replay',
    'TaskAuthority.capture',
    'Turn.finish',
  ]

  it('has a row for every method of the classes that users hold', async () => {
    const { runtime, session, operations, tasks, turn } = await openPlace()
    const { authority } = tasks
    const held = { Runtime: runtime, Session: session, OperationRegistry: operations, Tasks: tasks, Turn: turn }
    const doors = Object.entries({ ...held, TaskAuthority: authority }).flatMap(([name, instance]) =>
      methodsOf(instance).map((method) => `${name}.${method}`),
    )
    expect(doors.filter((door) => !rows.has(door) && !withoutInput.includes(door))).toEqual([])
  })

  it('has a row for every function that is exported', () => {
    /** They look at a value, whatever it is, or at rows that the library has made. */
    const looks = [
      'isUuid',
      'feedCapacity',
      'isTerminal',
      'expectsPeer',
      'isIdempotentRepeat',
      'createMemoryJournal',
      'isRefusal',
    ]
    const rowsOnly = [
      'isSuspension',
      'suspend',
      'outputValue',
      'isTerminalRunState',
      'isArmed',
      'matches',
      'consumedPercent',
      'canRun',
    ]
    // Values that go into a command, which is decoded; and cron, whose expressions have errors of their own.
    const parts = ['failed', 'lost', 'succeeded', 'suspended', 'timedOut', 'nextOccurrence']
    // Takes a port, which may be more than is asked for.
    const ports = ['operationsSystem']
    const known = new Set<string>([...looks, ...rowsOnly, ...parts, ...ports])
    const functions = Object.entries({ ...main, ...rooms }).flatMap(([name, value]) =>
      typeof value === 'function' && /^[a-z]/.test(name) ? [name] : [],
    )
    expect(functions.filter((name) => !rows.has(name) && !known.has(name))).toEqual([])
  })
})

function methodsOf(instance: object): string[] {
  const names = new Set<string>()
  for (let proto: object = Object.getPrototypeOf(instance); proto !== Object.prototype; ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(proto))) {
      if (name !== 'constructor' && typeof value === 'function') names.add(name)
    }
    proto = Object.getPrototypeOf(proto) as object
  }
  return [...names]
}
