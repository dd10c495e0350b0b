/** The maximum number of rows in each list of the waits, and of questions and budgets that the stream tells of. */
export const mostWaits = { limit: 500 }
/** The maximum number of missing members listed for a barrier. */
export const mostMissing = 100
