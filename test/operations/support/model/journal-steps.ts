import assert from 'node:assert/strict'
import type { OperationsOracle } from '../../../../src/testing/operations/oracle.js'
import type { OperationsStep } from '../../../../src/testing/operations/step.js'
import type { JournalledOperations } from './journalled-operations.js'

/** What happens to a session over a journal. */
export type JournalStep = OperationsStep<JournalledOperations>

/** Ends what runs, in a durable step, and fences the rest off. */
export function retireOwnerStep(): JournalStep {
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
export function tickStep(milliseconds: number, wallStep: number): JournalStep {
  return {
    name: `${milliseconds} ms pass, the wall clock is moved by ${wallStep} ms`,
    run: (_, { clock }) => {
      clock.advance(milliseconds)
      clock.setWall(clock.wallNow() + wallStep)
    },
  }
}

/** Writes a snapshot of everything that shows, whatever is under way. */
export function compactStep(): JournalStep {
  return {
    name: 'write a snapshot',
    run: async (oracle, { runtime }) => {
      oracle.persist()
      await runtime.compact()
    },
  }
}

/** What is under way becomes durable. */
export function flushStep(): JournalStep {
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
export function refusedWriteStep(): JournalStep {
  return {
    name: 'the write is refused',
    isPossible: ({ isWriting }) => isWriting,
    run: async (oracle, system) => {
      await system.write('write')
      oracle.discard()
      await system.verify('taken back')
      await offerAgain(oracle, system)
    },
  }
}

/** The sync fails; the runtime is reopened. */
export function failedSyncStep(): JournalStep {
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
      await offerAgain(oracle, system)
    },
  }
}

/** Ends that follow from the end of a parent are offered again after a pause. */
async function offerAgain(oracle: OperationsOracle, system: JournalledOperations): Promise<void> {
  if (!oracle.owesEnds) return
  system.clock.advance(100)
  await system.write()
  oracle.offerAgain()
  await system.verify('durable')
}

/** The power fails before what is under way was written. */
export function powerCutStep(): JournalStep {
  return {
    name: 'the power fails',
    isPossible: ({ isDurable }) => isDurable,
    run: async (oracle, system) => {
      await system.crash()
      oracle.recover()
      await system.verify('uncertain')
      system.forgetWaiters()
    },
  }
}

/** The sync fails, yet the bytes survive, and the power fails before anybody could react. */
export function lateSurvivorStep(): JournalStep {
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

/** The process ends what runs, closes its journal and starts again. */
export function restartStep(): JournalStep {
  return {
    name: 'restart',
    isPossible: ({ isDurable }) => isDurable,
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
export function transferStep(): JournalStep {
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
