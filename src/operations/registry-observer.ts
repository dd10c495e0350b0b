import type { Logger } from '../base/logger.js'
import { guardedObserver } from '../base/observers.js'
import type { OperationId, OperationOutcome } from '../../machines/operation-vocabulary.js'
import type { OperationProgress } from './types.js'

/** Callbacks for what happens in a registry, called once it is visible. */
export interface RegistryObserver {
  /** An operation was registered, changed its status or ended. */
  onChange?(id: OperationId): void
  /** The limit on running operations has changed. */
  onLimited?(): void
  /** A progress report was counted; the registry does not keep its content. */
  onProgress?(id: OperationId, progress: OperationProgress): void
  /** An operation was asked to wind down. */
  onRetireRequested?(id: OperationId): void
  /** An operation ended, and the end is durable. */
  onEnded?(id: OperationId, outcome: OperationOutcome): void
}

/** Wraps an observer so that an error in a callback does not affect the change; the first error is logged. */
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
