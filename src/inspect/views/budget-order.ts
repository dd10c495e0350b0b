interface Use {
  readonly limit: number
  readonly consumed: number
  readonly reserved: number
}

/** Compares budgets by how much of each is used. */
export function mostUsedFirst(one: Use, other: Use): number {
  return usedOf(other) - usedOf(one)
}

function usedOf({ limit, consumed, reserved }: Use): number {
  return limit === 0 ? 1 : (consumed + reserved) / limit
}
