/** The right to work on something alone for a while, as a row holds it. Instants are epoch milliseconds. */
export interface LeaseRow {
  /** Who holds it. */
  readonly owner: string
  /** Grows with every acquisition: a write that carries an older one comes from somebody who has lost it. */
  readonly fencingToken: number
  /** From then on it may be taken back. */
  readonly expiresAtMs: number
  readonly acquiredAtMs: number
  /** Last acquisition or renewal. */
  readonly updatedAtMs: number
}

/** Whether a write may go ahead under a lease, or why not. */
export type Fencing = 'permitted' | 'token_required' | 'token_superseded'

/**
 * Tells the holder of a lease from one who has lost it, by the token that a write carries.
 *
 * A write without a token is permitted where there is no lease, or where `isRequired` says that it may come from
 * somebody who never had one; a token must always be that of the lease.
 */
export function checkFencing(
  lease: Pick<LeaseRow, 'fencingToken'> | undefined,
  provided: number | undefined,
  { isRequired }: { readonly isRequired: boolean },
): Fencing {
  if (provided === undefined) return isRequired && lease !== undefined ? 'token_required' : 'permitted'
  return provided === lease?.fencingToken ? 'permitted' : 'token_superseded'
}
