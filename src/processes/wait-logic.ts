import { fromPromise, type PromiseActorLogic } from 'xstate'
import type { Awaiter, EventWaitBounds } from './awaiter.js'
import type { ProcessEvent } from './event.js'
import type { AwaitOutput, NoLongerRetained } from './output.js'
import type { ProcessId } from './scalars.js'
import type { WaitBounds } from './shared-wait.js'

/** Anything that waits for processes: an `Awaiter`, or the `WorkDriver` of `runtime.processes`. */
export type ProcessWaits = Pick<Awaiter, 'awaitTerminal' | 'awaitEvent'>

/** Input of {@link processEnd}. */
export interface ProcessEndInput extends Pick<WaitBounds, 'timeoutMs'> {
  readonly processId: ProcessId
}

/** Input of {@link processEvent}. */
export interface ProcessEventInput extends Pick<EventWaitBounds, 'timeoutMs' | 'stopOnTerminal'> {
  readonly processId: ProcessId
  readonly eventType: string
  /** Start after this sequence. Default 0, the beginning. */
  readonly after?: number
}

/** Actor logic for machines that waits for the end of a process. Stopping the actor ends the wait. */
export function processEnd(waits: ProcessWaits): PromiseActorLogic<AwaitOutput | NoLongerRetained, ProcessEndInput> {
  return fromPromise(({ input: { processId, ...bounds }, signal }) =>
    waits.awaitTerminal(processId, { ...bounds, signal }),
  )
}

/** Actor logic for machines that waits for an event of a process. Stopping the actor ends the wait. */
export function processEvent(waits: ProcessWaits): PromiseActorLogic<ProcessEvent, ProcessEventInput> {
  return fromPromise(({ input: { processId, eventType, after = 0, ...bounds }, signal }) =>
    waits.awaitEvent(processId, eventType, after, { ...bounds, signal }),
  )
}
