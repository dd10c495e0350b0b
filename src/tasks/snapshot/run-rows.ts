import type { AttemptRecord } from '../attempt.js'
import type { Run, RunHistoryEntry } from '../run.js'
import type { SnapshotRow } from './rows.js'

/** A row that is part of a run: the run itself, or a step or attempt that had no place in it. */
export type RunRow = Extract<SnapshotRow, { readonly row: 'run' | 'step' | 'attempt' }>

/** UTF-16 units of history and attempts that stand in the row of their run. */
const inlineUnits = 2 ** 20
/** What an entry takes beside its text, roughly. */
const entryUnits = 150

/**
 * A run as rows. Each of its attempts may have filled a record of the journal and the run holds them all, so what goes
 * beyond {@link inlineUnits} follows in rows of its own, none of which is larger than the record it came in.
 */
export function* rowsOfRun({ history, attempts, ...run }: Run): Iterable<RunRow> {
  const room = { units: inlineUnits }
  const steps = fitting(history, room, ({ reason }) => reason)
  const records = fitting(attempts, room, textOf)
  yield { row: 'run', ...run, history: history.slice(0, steps), attempts: attempts.slice(0, records) }
  for (const step of history.slice(steps)) yield { row: 'step', runId: run.id, ...step }
  for (const attempt of attempts.slice(records)) yield { row: 'attempt', runId: run.id, ...attempt }
}

/** A run under construction: what its row holds, and what follows. */
export class RunParts {
  readonly #run: Omit<Run, 'history' | 'attempts'>
  readonly #history: RunHistoryEntry[]
  readonly #attempts: AttemptRecord[]

  constructor({ row: _, history, attempts, ...run }: Extract<RunRow, { readonly row: 'run' }>) {
    this.#run = run
    this.#history = [...history]
    this.#attempts = [...attempts]
  }

  /** Takes a row that follows; false when it belongs to another run. */
  take({ row, runId, ...part }: Exclude<RunRow, { readonly row: 'run' }>): boolean {
    if (runId !== this.#run.id) return false
    if (row === 'step') this.#history.push(part as RunHistoryEntry)
    else this.#attempts.push(part as AttemptRecord)
    return true
  }

  /** The run; nothing is checked yet. */
  get run(): Run {
    return { ...this.#run, history: this.#history, attempts: this.#attempts }
  }
}

/** How many of the first items there is room for; takes the room they need. */
function fitting<Item>(
  items: readonly Item[],
  room: { units: number },
  text: (item: Item) => string | undefined,
): number {
  const end = items.findIndex((item) => {
    room.units -= entryUnits + (text(item)?.length ?? 0)
    return room.units < 0
  })
  return end === -1 ? items.length : end
}

function textOf({ outcome }: AttemptRecord): string | undefined {
  if (outcome === undefined) return undefined
  return outcome.result === 'failure' || outcome.result === 'timeout' ? outcome.error : outcome.output
}
