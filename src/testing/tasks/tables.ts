/** The tables of the life of a run, written out once more so that the oracle owes the product nothing. */

/** The states that each state may be followed by; a state without a row is final. */
const edges: Readonly<Record<string, string>> = {
  scheduled: 'ready cancelled',
  ready: 'leased cancelled',
  leased: 'running ready cancelled',
  running: 'retry_wait suspended completed failed cancelled',
  retry_wait: 'ready failed cancelled',
  suspended: 'ready cancelled',
}

/** Whether a run may go from one state to the other. */
export const isEdge = (from: string, to: string): boolean => edges[from]?.split(' ').includes(to) ?? false

/** Whether nothing leads on from a state. */
export const isFinal = (state: string): boolean => edges[state] === undefined
