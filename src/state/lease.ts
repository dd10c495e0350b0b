/** A row's lease: the exclusive right to work on something for a limited time. Instants are epoch milliseconds. */
export interface LeaseRow {
  /** The holder. */
  readonly owner: string
  /** Grows with every acquisition. A write with an older token comes from a holder that has lost the lease. */
  readonly fencingToken: number
  /** When the lease expires and may be taken by another holder. */
  readonly expiresAtMs: number
  readonly acquiredAtMs: number
  /** When it was last acquired or renewed. */
  readonly updatedAtMs: number
}

/** Whether a write is permitted under a lease, or why not. */
export type Fencing = 'permitted' | 'token_required' | 'token_superseded'

/**
 * Checks by the token of a write whether the writer still holds the lease.
 *
 * A write without a token is permitted if there is no lease, or unless `isRequired`. A token must always be that of
 * the current lease.
 */
export function checkFencing(
  lease: Pick<LeaseRow, 'fencingToken'> | undefined,
  provided: number | undefined,
  { isRequired }: { readonly isRequired: boolean },
): Fencing {
  if (provided === undefined) return isRequired && lease !== undefined ? 'token_required' : 'permitted'
  return provided === lease?.fencingToken ? 'permitted' : 'token_superseded'
}
