import type { Logger } from '../base/logger.js'
import { guardedObserver } from '../base/observers.js'
import type { OperationId, OperationOutcome } from '../../machines/operation-vocabulary.js'
import type { OperationProgress } from './types.js'

/** Who is told what happens in a registry, after it has become visible. */
export interface RegistryObserver {
  /** An operation was registered, moved on or ended. */
  onChange?(id: OperationId): void
  /** Another number of operations may run. */
  onLimited?(): void
  /** A report that was counted; the registry keeps nothing of its content. */
  onProgress?(id: OperationId, progress: OperationProgress): void
  /** An operation was asked to wind down. */
  onRetireRequested?(id: OperationId): void
  /** An operation ended, and the end is durable. */
  onEnded?(id: OperationId, outcome: OperationOutcome): void
}

/** The same, but the change stands whatever those who are told of it do: the first thing that one of them throws is logged. */
export function guardedRegistryObserver(observer: RegistryObserver, logger: Logger): Required<RegistryObserver> {
  const guarded = <Arguments extends readonly unknown[]>(tell: (...values: Arguments) => void) =>
    guardedObserver(tell, logger, 'an observer of a registry threw')
  return {
    onChange: guarded((id) => observer.onChange?.(id)),
    onLimited: guarded(() => observer.onLimited?.()),
    onProgress: guarded((id, progress) => observer.onProgress?.(id, progress)),
    onRetireRequested: guarded((id) => observer.onRetireRequested?.(id)),
    onEnded: guarded((id, outcome) => observer.onEnded?.(id, outcome)),
  }
}
