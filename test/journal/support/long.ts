/** True when the environment asks for long runs: many more kills and random cases. */
export const isLong = (process.env['STATEWARD_LONG'] ?? '') !== ''

/** How long such a test may take; ample, because a busy machine is no failure. */
export const timeout = isLong ? 3_600_000 : 180_000
