import { Worker } from 'node:worker_threads'
import { createActor, type AnyStateMachine } from 'xstate'
import { onAbort } from '../base/abort.js'
import { messageOf, StatewardError, toError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import { createDeferred, silence } from '../base/promises.js'
import type { DaemonHealth } from './daemon.js'
import { daemonDefiner, type DaemonRunners, type DaemonScope } from './daemon-definition.js'
import type { NodeLogLevel } from './vocabulary.js'

/** The event that asks a machine to end; a machine that does not handle it is stopped. */
const shutdown = { type: 'shutdown', gracePeriodMs: 0 } as const

/** A function of this process. It cannot be ended by force: one that does not end when told to is left behind. */
const callback: DaemonRunners['callback'] = (work) => ({
  kind: 'callback',
  start: (scope) => ({ ended: silence(Promise.resolve().then(() => work(scope))) }),
})

/** A machine: control events are sent to it under their type names; it has ended when it is done. */
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

/** What a worker reports about itself, as a message. */
type WorkerMessage =
  | { readonly type: 'health'; readonly health: DaemonHealth }
  | { readonly type: 'saturation'; readonly saturation: number }
  | { readonly type: 'log'; readonly level: NodeLogLevel; readonly message: string }

/**
 * A worker thread: control events, `shutdown` among them, are posted to it as messages, and its reports come back as
 * messages. It has ended when it exits with 0; any other exit code or an uncaught error is a crash.
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

/** Messages of other types are not for us. */
function take(message: unknown, scope: DaemonScope): void {
  if (typeof message !== 'object' || message === null) return
  try {
    report(message as WorkerMessage, scope)
  } catch (refusal) {
    // Nobody above would catch it: the thread's port calls this.
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

/** The runners that need nothing from the runtime. */
export const daemonRunners: DaemonRunners = { callback, machine, worker }

/**
 * Defines a daemon of a node: a function of this process, an XState machine, the file of a worker thread, or anything
 * that a runner runs. Its id is derived from its name. Raises `invalid_input`.
 *
 *     const indexer = defineDaemon('indexer', async ({ signal, controls }) => { ... })
 */
export const defineDaemon = daemonDefiner(daemonRunners)
