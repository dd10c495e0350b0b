import { ProcessError } from './errors.js'
import type { DurabilityTier } from './store.js'

/** Something that runs of processes keep their state in, beside the store: attachments, environments, triggers. */
export interface DurabilityFacet {
  readonly name: string
  readonly tier: DurabilityTier
}

/**
 * Raises `process.facet_inline` with the first facet that would not outlive a host whose processes do (P-180). A host that
 * is not durable itself asks for nothing.
 */
export function checkDurability(host: DurabilityTier, facets: readonly DurabilityFacet[]): void {
  if (host === 'inline') return
  const offender = facets.find(({ tier }) => tier === 'inline')
  if (offender !== undefined) throw new ProcessError('process.facet_inline', { facet: offender.name })
}
