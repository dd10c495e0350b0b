/** True when the environment asks for long runs: many more kills and random cases. */
export const isLong = (process.env['STATEWARD_LONG'] ?? '') !== ''

/** How long a test may take that does more in a long run. */
export const timeout = isLong ? 3_600_000 : 60_000
