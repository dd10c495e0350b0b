import { messageOf } from '../../base/errors.js'
import type { MigrationId } from '../ids.js'
import type { FailureRecord } from '../records.js'
import type { MigrationView } from '../snapshot.js'

/** Ends migrations under way. Asked on every node: one that does not host the migration does nothing, and that is no failure. */
export interface MigrationAborter {
  /** Synchronous and quick: what takes longer is begun. What it throws is the failure. */
  abort(migration: MigrationId): void
}

/** Knows the migrations under way on this node. */
export interface MigrationSource {
  /** Synchronous and quick; asked once per tick. */
  migrations(): readonly MigrationView[]
}

/** What a failed abort leaves in the ring of failures; the loop adds number and time. */
export type MigrationFailure = Pick<FailureRecord, 'source' | 'reason'>

/**
 * Carries out an accepted `kill_migration`, after it is folded (N-350). Where nothing can abort it, an operator who has signed for it
 * is not left to believe that it was: that is a failure; without a verifier nobody expects it. Throws nothing.
 */
export function killMigration(
  migration: MigrationId,
  { aborter, hasVerifier }: { readonly aborter: MigrationAborter | undefined; readonly hasVerifier: boolean },
): MigrationFailure | undefined {
  const failure = (reason: string): MigrationFailure => ({ source: `kill-migration:${migration}`, reason })
  if (aborter === undefined) return hasVerifier ? failure('nothing here can abort a migration') : undefined
  try {
    return isSynchronous(aborter.abort(migration)) ? undefined : failure('the aborter is asynchronous, and must not be')
  } catch (thrown) {
    return failure(messageOf(thrown))
  }
}

/**
 * The migrations under way, none where there is no source. Throws nothing: a source that fails, or that is asynchronous, is told
 * of by `onFault` and knows none.
 */
export function migrationsUnderWay(
  source: MigrationSource | undefined,
  onFault: (fault: unknown) => void,
): readonly MigrationView[] {
  if (source === undefined) return []
  try {
    const found: unknown = source.migrations()
    if (isSynchronous(found) && Array.isArray(found)) return found as readonly MigrationView[]
    throw new TypeError('a migration source answers with a list, at once')
  } catch (fault) {
    onFault(fault)
    return []
  }
}

/** A promise from a port that must not make one is a fault of the port; that it may reject is nobody else's. */
function isSynchronous(answer: unknown): boolean {
  if (typeof answer !== 'object' || answer === null || !('then' in answer)) return true
  if (answer instanceof Promise) answer.catch(() => {})
  return false
}
