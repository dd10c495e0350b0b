import { describeValue } from '../../base/errors.js'
import type { JsonValue } from '../../base/json.js'
import { maskFields, secretKeys } from '../../base/mask.js'
import type { ReplayedRecord } from '../../journal/journal.js'
import { readDirectoryJournal } from '../../journal/reading.js'
import { columnsOf, type OutputTarget } from '../paint.js'
import { fit, jsonLine, plain } from '../text.js'
import { changesOf } from './changes.js'
import { locateJournal } from './locate.js'

/** Options of `stateward tail`. */
export interface TailOptions {
  readonly directory: string
  /** How many existing events to print first. */
  readonly lines: number
  readonly json: boolean
}

/** What a terminal shows may be seen by others; `--json` says what the journal holds. */
const isSecret = secretKeys()

/** Width in columns when the output does not state one. */
const usualColumns = 240

/**
 * Prints the last events of a journal and then new ones, until the signal aborts or the directory has no owner that
 * could add one.
 */
export async function tail(
  { directory: named, lines, json }: TailOptions,
  target: OutputTarget,
  signal: AbortSignal,
): Promise<void> {
  const directory = await locateJournal(named)
  const columns = Math.min(columnsOf(target), usualColumns)
  /** Sequence of the last event that was printed or skipped. */
  let told: number | undefined
  for await (const _ of changesOf(directory, signal)) {
    await using reading = await readDirectoryJournal({ directory })
    const { recovery, nextSequence, owner } = reading
    told ??= Math.max(0, nextSequence - 1 - lines)
    const through = recovery.snapshot?.through ?? 0
    if (through > told)
      target.write(json ? '' : `events up to ${through} are in the snapshot, not in the log any more\n`)
    for (const record of recovery.records) {
      if (record.sequence <= told) continue
      target.write(json ? `${jsonLine(eventOf(record))}\n` : `${fit(eventText(record), columns)}\n`)
    }
    told = Math.max(told, nextSequence - 1)
    if (owner === undefined || owner.standing === 'ended') return
  }
}

interface JournalledEvent {
  readonly sequence: number
  readonly stream: string
  readonly event: Readonly<Record<string, JsonValue>>
}

/** The event of a record, which holds the name of a stream and its event; any other record is shown as it is. */
function eventOf({ sequence, record }: ReplayedRecord): JournalledEvent {
  const [stream, event] = Array.isArray(record) ? record : []
  const isEvent = typeof stream === 'string' && typeof event === 'object' && event !== null && !Array.isArray(event)
  return isEvent
    ? { sequence, stream, event: event as JournalledEvent['event'] }
    : { sequence, stream: '', event: { record } }
}

function eventText(record: ReplayedRecord): string {
  const { sequence, stream, event } = eventOf(record)
  const { type = '', ...fields } = event
  const shown = Object.entries(maskFields(fields, isSecret)) as [string, JsonValue][]
  const details = shown.map(([name, value]) => `${name}=${valueText(value)}`)
  return plain([sequence, stream, typeof type === 'string' ? type : '', details.join(' ')].join('  '))
}

function valueText(value: JsonValue): string {
  return fit(plain(typeof value === 'string' ? value : describeValue(value)), 60)
}
