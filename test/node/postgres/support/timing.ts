/** Short, so that much can be lost within a test; long enough for a machine that is busy. */
export const clusterTiming = {
  heartbeatMs: 60,
  leaseTtlMs: 900,
  graceMs: 300,
  degradedMs: 300,
  unreachableMs: 900,
} as const
