import { Worker } from 'node:worker_threads'
import { createActor, type AnyStateMachine } from 'xstate'
import { onAbort } from '../base/abort.js'
import { messageOf, StatewardError, toError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import { createDeferred, silence } from '../base/promises.js'
import type { DaemonHealth } from './daemon.js'
import { daemonDefiner, type DaemonRunners, type DaemonScope } from './daemon-definition.js'
import type { NodeLogLevel } from './vocabulary.js'

/** What a daemon is asked when it is to end; a machine that does not listen to it is stopped instead. */
const shutdown = { type: 'shutdown', gracePeriodMs: 0 } as const

/** A function of this process. It cannot be ended by force: one that does not end when it is told to is left behind. */
const callback: DaemonRunners['callback'] = (work) => ({
  kind: 'callback',
  start: (scope) => ({ ended: silence(Promise.resolve().then(() => work(scope))) }),
})

/** A machine: controls come to it as events of their names, and it has ended when it is done. */
const machine: DaemonRunners['machine'] = (logic: AnyStateMachine, input) => ({
  kind: 'machine',
  start: ({ signal, daemon }) => {
    const ended = createDeferred<unknown>()
    const actor = createActor(logic, { id: daemon.name, input })
    actor.subscribe({
      complete: () => ended.resolve(actor.getSnapshot().output),
      error: (cause) => ended.reject(cause),
    })
    const stop = (): void => {
      actor.stop()
      ended.resolve(undefined)
    }
    const forget = onAbort(signal, () => {
      const { status } = actor.getSnapshot()
      if (status === 'active' && actor.getSnapshot().can(shutdown)) return
      stop()
    })
    actor.start()
    return {
      ended: silence(ended.promise.finally(forget)),
      control: (control) => actor.send(control),
      kill: stop,
    }
  },
})

/** What a worker says of itself, as a message. */
type WorkerMessage =
  | { readonly type: 'health'; readonly health: DaemonHealth }
  | { readonly type: 'saturation'; readonly saturation: number }
  | { readonly type: 'log'; readonly level: NodeLogLevel; readonly message: string }

/**
 * A thread: controls come to it as messages, `shutdown` among them, and so does what it says of itself. It has ended when it
 * exits with 0; another code, or an error that it does not catch, is a crash.
 */
const worker: DaemonRunners['worker'] = (file: URL, input: JsonValue | undefined) => ({
  kind: 'worker',
  start: (scope) => {
    const ended = createDeferred<unknown>()
    const thread = new Worker(file, { workerData: { daemon: scope.daemon, fence: scope.fence, input } })
    thread.on('message', (message: unknown) => take(message, scope))
    thread.once('error', (cause) => ended.reject(toError(cause)))
    thread.once('exit', (code) => {
      if (code === 0) ended.resolve(undefined)
      else ended.reject(new StatewardError('daemon_exited', `the thread exited with ${code}`, { code }))
    })
    return {
      ended: silence(ended.promise),
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      control: (control) => thread.postMessage(control),
      kill: () => void silence(thread.terminate()),
    }
  },
})

/** Messages of other types are between the thread and whoever else it talks to. */
function take(message: unknown, scope: DaemonScope): void {
  if (typeof message !== 'object' || message === null) return
  try {
    report(message as WorkerMessage, scope)
  } catch (refusal) {
    // Nobody above would catch it: this is called by the thread's port.
    scope.log('warn', `a message of the thread was refused: ${messageOf(refusal)}`)
  }
}

function report(said: WorkerMessage, scope: DaemonScope): void {
  switch (said.type) {
    case 'health':
      scope.reportHealth(said.health)
      return
    case 'saturation':
      scope.reportSaturation(said.saturation)
      return
    case 'log':
      scope.log(said.level, said.message)
  }
}

/** The runners that need nothing of the runtime. */
export const daemonRunners: DaemonRunners = { callback, machine, worker }

/**
 * Defines a daemon of a node: a function of this process, a machine of XState, the file of a worker thread, or whatever a runner
 * runs. Its id follows from its name. Raises `invalid_input`.
 *
 *     const indexer = defineDaemon('indexer', async ({ signal, controls }) => { ... })
 */
export const defineDaemon = daemonDefiner(daemonRunners)
