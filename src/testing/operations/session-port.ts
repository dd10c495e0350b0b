import { createMemoryJournal } from '../../journal/memory-journal.js'
import { createRuntime, type Runtime } from '../../runtime.js'
import type { Session } from '../../operations/public.js'
import { SimulatedClock } from '../simulated-clock.js'
import type { OperationsUnderTest } from './open-operations.js'
import type { OperationsPort } from './port.js'
import type { OracleLimits } from './rows.js'

const name = 'model'

/** The port of a session: all that its registry can do. */
export function sessionPort(session: Pick<Session, 'operations'>): OperationsPort {
  return session.operations
}

/** A session over a journal in memory, which survives a crash: for a search over a runtime of stateward itself. */
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
      // The dead process cannot write any more; closing it only ends its timers.
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
