import type { Clock } from '../base/clock.js'
import { faultFields } from '../base/error-details.js'
import type { Logger } from '../base/logger.js'
import { killMigration } from './admin/index.js'
import type { NodeEffect } from './effect.js'
import type { FoldEvent } from './fold-event.js'
import { fold } from './fold.js'
import type { CheckpointChange, NodeHistory } from './history.js'
import type { DaemonId } from './ids.js'
import { checkpointLost, transitionRefused } from './loop-lines.js'
import type { LoopPorts } from './loop-ports.js'
import type { NodeChains } from './node-chains.js'
import type { NodeConfiguration } from './options.js'
import { callPort, type OnFault } from './probes.js'
import { checkpointChangeOf, openRequestsChange, rememberedOf, type WallAnchor } from './remembering.js'
import { NodeState } from './state.js'

/** Options of a {@link Folding}. */
export interface FoldingOptions {
  readonly configuration: NodeConfiguration
  readonly clock: Clock
  readonly logger: Logger
  readonly chains: Pick<NodeChains, 'recordFailure'>
  readonly history: Pick<NodeHistory, 'change'>
  readonly onFault: OnFault
  readonly onGateOpened: ((daemon: DaemonId) => void) | undefined
  readonly hasVerifier: boolean
  readonly ports: LoopPorts
}

/**
 * The state of a loop and all that becomes of it: folds events, carries out what that asks for, and writes to the
 * journal what must survive.
 */
export class Folding {
  readonly state: NodeState
  readonly #options: FoldingOptions
  #ports: LoopPorts
  #anchor: WallAnchor
  /** The pending requests of operators as last written to the checkpoints. */
  #requests: Pick<NodeState, 'forced' | 'restarts'> | undefined

  constructor(options: FoldingOptions) {
    this.#options = options
    this.#ports = options.ports
    this.state = new NodeState(options.configuration)
    this.#anchor = this.anchorNow()
  }

  get ports(): LoopPorts {
    return this.#ports
  }

  /** Replaces ports; those left out stay. */
  usePorts(ports: Partial<LoopPorts>): void {
    this.#ports = { ...this.#ports, ...ports }
  }

  /** Reads both clocks; instants are converted by this reading until the next one. */
  anchorNow(): WallAnchor {
    const { clock } = this.#options
    this.#anchor = { monotonic: clock.monotonicNow(), wall: clock.wallNow() }
    return this.#anchor
  }

  /** Folds an event and carries out what that asks for. */
  fold(event: FoldEvent): void {
    const effects = fold(this.state, event)
    const { onFolded } = this.#ports
    if (onFolded !== undefined) callPort('event log', () => onFolded(event), this.#options.onFault)
    for (const effect of effects) this.#carryOut(effect)
  }

  /** What must survive of a folded event; `undefined` if nothing. */
  changeOf(event: FoldEvent): CheckpointChange | undefined {
    return checkpointChangeOf(event, rememberedOf(this.state), this.#anchor)
  }

  /** Writes to the journal what must survive of a folded event; resolves once that is durable. Errors are logged. */
  remember(event: FoldEvent, accepted?: CheckpointChange['accepted']): Promise<void> {
    const change = this.changeOf(event)
    if (change === undefined && accepted === undefined) return Promise.resolve()
    return this.noteLoss(this.#options.history.change({ ...change, ...(accepted !== undefined && { accepted }) }))
  }

  /** Writes the pending requests of operators: those that were completed must not be repeated by a later life. */
  rememberRequests(): void {
    const { forced, restarts } = this.state
    if (forced === this.#requests?.forced && restarts === this.#requests.restarts) return
    this.#requests = { forced, restarts }
    void this.noteLoss(this.#options.history.change(openRequestsChange(this.#requests)))
  }

  /** Logs what did not become durable, and returns the same promise. */
  noteLoss<Durable>(durable: Promise<Durable>): Promise<Durable> {
    durable.catch((cause: unknown) => checkpointLost(this.#options.logger, faultFields(cause)))
    return durable
  }

  #carryOut(effect: NodeEffect): void {
    const { control, aborter, onPlacementInvalidated } = this.#ports
    const { onFault, onGateOpened, hasVerifier, chains, logger } = this.#options
    switch (effect.type) {
      case 'control':
        if (control !== undefined) callPort('control sink', () => control.emit(effect.event), onFault)
        return
      case 'open_daemon_gate':
        onGateOpened?.(effect.daemon)
        return
      case 'kill_migration': {
        const failure = killMigration(effect.migration, { aborter, hasVerifier })
        if (failure !== undefined) chains.recordFailure(failure.source, failure.reason)
        return
      }
      case 'invalidate_placement':
        if (onPlacementInvalidated === undefined) return
        callPort('placement', () => onPlacementInvalidated(effect.node), onFault)
        return
      case 'observation_refused':
        transitionRefused(logger, { from: effect.from, to: effect.to })
    }
  }
}
