/** The middle of the samples; of an even number, the mean of the two middle ones. Raises `RangeError` for none. */
export function median(samples: readonly number[]): number {
  const sorted = sort(samples)
  const middle = sorted.length >> 1
  const upper = sorted[middle] as number
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2
}

/**
 * The smallest sample that at least `share` of the samples do not exceed (nearest rank), `share` in (0, 1]:
 * `percentile(samples, 0.99)` is p99. Raises `RangeError` for no samples or a share out of range.
 */
export function percentile(samples: readonly number[], share: number): number {
  if (!(share > 0 && share <= 1)) throw new RangeError(`share ${share} is not in (0, 1]`)
  const sorted = sort(samples)
  return sorted[Math.ceil(share * sorted.length) - 1] as number
}

function sort(samples: readonly number[]): Float64Array {
  if (samples.length === 0) throw new RangeError('no samples')
  return Float64Array.from(samples).sort()
}
