import { messageOf } from '../../base/errors.js'
import type { MigrationId } from '../ids.js'
import type { FailureRecord } from '../records.js'
import type { MigrationView } from '../snapshot.js'

/** Aborts migrations under way. Called on every node; a node that does not host the migration must ignore the call. */
export interface MigrationAborter {
  /** Must be synchronous and quick: start anything that takes longer. An exception counts as a failure to abort. */
  abort(migration: MigrationId): void
}

/** Lists the migrations under way on this node. */
export interface MigrationSource {
  /** Must be synchronous and quick; called once per tick. */
  migrations(): readonly MigrationView[]
}

/** The failure record of an abort that failed; the loop adds number and time. */
export type MigrationFailure = Pick<FailureRecord, 'source' | 'reason'>

/**
 * Carries out an accepted `kill_migration` after it is folded (N-350). If nothing can abort migrations, that is
 * recorded as a failure when there is a verifier, so that an operator who signed the command is not left believing that
 * it was carried out; without a verifier nothing is recorded. Never throws.
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
 * The migrations under way; empty without a source. Never throws: a source that fails or returns a promise is reported
 * to `onFault` and counts as empty.
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

/** A promise from a port that must be synchronous is a fault of the port. Its rejection is handled here. */
function isSynchronous(answer: unknown): boolean {
  if (typeof answer !== 'object' || answer === null || !('then' in answer)) return true
  if (answer instanceof Promise) answer.catch(() => {})
  return false
}
