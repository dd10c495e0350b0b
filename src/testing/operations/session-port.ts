import { createMemoryJournal } from '../../journal/memory-journal.js'
import { createRuntime, type Runtime } from '../../runtime.js'
import { operationsSystem, type OperationHandle, type Session } from '../../operations/public.js'
import type { OperationId } from '../../../machines/operation-vocabulary.js'
import { SimulatedClock } from '../simulated-clock.js'
import type { OperationsUnderTest } from './open-operations.js'
import type { OperationsPort } from './port.js'
import type { OracleLimits } from './rows.js'

const name = 'model'

/** The port of a session: everything that its registry and its queue can do. */
export function sessionPort(session: Pick<Session, 'operations' | 'run' | 'waitAll' | 'view'>): OperationsPort {
  const handles = new Map<OperationId, OperationHandle>()
  const line: OperationsPort = {
    queue: ({ id, kind, displayName, sourceLabel, parentId, outlivesParent }) => {
      const options = {
        ...(parentId !== undefined && { parent: parentId }),
        ...(outlivesParent === true && { outlivesParent }),
      }
      const handle = session.run({ id, kind, displayName, sourceLabel }, untilOver, options)
      handles.set(id, handle)
      return handle.outcome
    },
    queued: () => session.view.queued().map(({ id }) => id),
    cancelQueued: async (id) => (await handles.get(id)?.cancel()) ?? 'already_ended',
    waitForQueued: (turnId, ids) => session.waitAll(turnId, ids),
  }
  const whole = Object.getOwnPropertyDescriptors(operationsSystem(session.operations))
  return Object.defineProperties(line, whole)
}

/** Work that runs until its operation has been ended otherwise. */
function untilOver({ signal }: { readonly signal: AbortSignal }): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** A session on a journal in memory that survives a crash, to test a runtime of stateward itself. */
export async function openSession(limits: OracleLimits): Promise<OperationsUnderTest> {
  const store = createMemoryJournal()
  const clock = new SimulatedClock()
  let runtime: Runtime
  let session: Session
  const open = async (): Promise<OperationsPort> => {
    runtime = await createRuntime({ store, clock })
    session = runtime.session(name, limits)
    return sessionPort(session)
  }
  return {
    port: await open(),
    flush: () => runtime.flush(),
    crash: async () => {
      store.crash()
      session.dispose()
      // The dead process can no longer write; closing it only stops its timers.
      await runtime.close({ policy: 'terminate' }).catch(() => {})
      return open()
    },
    restart: async (reason) => {
      await runtime.close({ policy: 'terminate', reason })
      return open()
    },
    advance: (milliseconds) => clock.advance(milliseconds),
    close: () => runtime.close({ policy: 'terminate' }),
  }
}
