import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { fractionSchema, labelSchema, naturalSchema } from './scalars.js'

/** What a node has, as far as its probes know. */
export interface PeerInventory {
  readonly cpuLoad1m?: number
  readonly memUsedBytes?: number
  readonly memTotalBytes?: number
  readonly diskUsedBytes?: number
  readonly diskTotalBytes?: number
  /** A fraction. */
  readonly saturationTrend?: number
  /** What the node can do, in order. */
  readonly capabilities?: readonly string[]
  readonly softwareVersion?: string
  readonly forkedFrom?: string
}

/** The most capabilities that one node names. */
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
