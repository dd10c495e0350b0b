import type { AnyStateMachine } from 'xstate'
import { clusterBackpressureMachine } from '../../../machines/cluster-backpressure.js'
import { daemonSupervisionMachine } from '../../../machines/daemon-supervision.js'
import { dispatcherMachine } from '../../../machines/dispatcher.js'
import { engineMachine } from '../../../machines/engine.js'
import { executorMachine } from '../../../machines/executor.js'
import { freezeGateMachine } from '../../../machines/freeze-gate.js'
import { idleWakeMachine } from '../../../machines/idle-wake.js'
import { jobMachine } from '../../../machines/job.js'
import { maintenanceMachine } from '../../../machines/maintenance.js'
import { nodeLoopMachine } from '../../../machines/node-loop.js'
import { operationMachine } from '../../../machines/operation.js'
import { operationRegistryMachine } from '../../../machines/operation-registry.js'
import { processMachine } from '../../../machines/process.js'
import { runMachine } from '../../../machines/run.js'
import { turnMachine } from '../../../machines/turn.js'
import { waitAllBarrierMachine } from '../../../machines/wait-all-barrier.js'

/** The charts of this package: those of actors, and those of rows. */
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
  nodeLoopMachine,
  daemonSupervisionMachine,
  executorMachine,
  freezeGateMachine,
  maintenanceMachine,
  clusterBackpressureMachine,
]
