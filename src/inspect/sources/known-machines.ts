import type { AnyStateMachine } from 'xstate'
import { dispatcherMachine } from '../../../machines/dispatcher.js'
import { engineMachine } from '../../../machines/engine.js'
import { idleWakeMachine } from '../../../machines/idle-wake.js'
import { jobMachine } from '../../../machines/job.js'
import { operationMachine } from '../../../machines/operation.js'
import { operationRegistryMachine } from '../../../machines/operation-registry.js'
import { processMachine } from '../../../machines/process.js'
import { runMachine } from '../../../machines/run.js'
import { turnMachine } from '../../../machines/turn.js'
import { waitAllBarrierMachine } from '../../../machines/wait-all-barrier.js'

/** The charts of this package: those of actors, and those that move rows. */
export const knownMachines: readonly AnyStateMachine[] = [
  operationMachine,
  operationRegistryMachine,
  waitAllBarrierMachine,
  turnMachine,
  idleWakeMachine,
  runMachine,
  engineMachine,
  dispatcherMachine,
  processMachine,
  jobMachine,
] as unknown as readonly AnyStateMachine[]
