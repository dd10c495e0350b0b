import fc from 'fast-check'

/**
 * Random searches start from one number, so that what the suite says of a commit does not depend on luck; each build of
 * XState has a number of its own. `STATEWARD_SEED` chooses another, `STATEWARD_SEED=fresh` and the long runs a new one
 * each time. A failure prints the seed and the path to it.
 */
const chosen = process.env['STATEWARD_SEED'] ?? (process.env['STATEWARD_LONG'] === '1' ? 'fresh' : undefined)
const fixed = process.env['NODE_ENV'] === 'production' ? 2 : 1

/** The seed of this run, unless a new one is wanted each time. */
export const searchSeed = chosen === 'fresh' ? undefined : Number(chosen ?? fixed)

if (searchSeed !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: searchSeed })
