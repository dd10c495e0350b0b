/** The transitions of a run, written a second time so that the oracle does not depend on the product. */

/** The states that can follow each state; a state without an entry is final. */
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

/** Whether a state is final. */
export const isFinal = (state: string): boolean => edges[state] === undefined
