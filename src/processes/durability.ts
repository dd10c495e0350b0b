import { ProcessError } from './errors.js'
import type { DurabilityTier } from './store.js'

/** Storage outside the process store that runs keep state in, such as attachments, environments or triggers. */
export interface DurabilityFacet {
  readonly name: string
  readonly tier: DurabilityTier
}

/**
 * Raises `process.facet_inline` naming the first facet that does not survive a restart although the processes do
 * (P-180). Does nothing if the host itself is `inline`.
 */
export function checkDurability(host: DurabilityTier, facets: readonly DurabilityFacet[]): void {
  if (host === 'inline') return
  const offender = facets.find(({ tier }) => tier === 'inline')
  if (offender !== undefined) throw new ProcessError('process.facet_inline', { facet: offender.name })
}
