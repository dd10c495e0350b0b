import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { fractionSchema, labelSchema, naturalSchema } from './scalars.js'

/** The inventory of a node, as far as its probes know it. */
export interface PeerInventory {
  readonly cpuLoad1m?: number
  readonly memUsedBytes?: number
  readonly memTotalBytes?: number
  readonly diskUsedBytes?: number
  readonly diskTotalBytes?: number
  /** A fraction. */
  readonly saturationTrend?: number
  /** What the node can do, sorted. */
  readonly capabilities?: readonly string[]
  readonly softwareVersion?: string
  readonly forkedFrom?: string
}

/** The maximum number of capabilities of one node. */
const mostCapabilities = 1024

const loadSchema = v.pipe(v.number('not a number'), v.finite(), v.minValue(0))

/** Accepts a {@link PeerInventory}. */
export const inventorySchema: v.GenericSchema<unknown, PeerInventory> = strictSchema({
  cpuLoad1m: v.exactOptional(loadSchema),
  memUsedBytes: v.exactOptional(naturalSchema),
  memTotalBytes: v.exactOptional(naturalSchema),
  diskUsedBytes: v.exactOptional(naturalSchema),
  diskTotalBytes: v.exactOptional(naturalSchema),
  saturationTrend: v.exactOptional(fractionSchema),
  capabilities: v.exactOptional(v.pipe(v.array(labelSchema), v.maxLength(mostCapabilities))),
  softwareVersion: v.exactOptional(labelSchema),
  forkedFrom: v.exactOptional(labelSchema),
})
