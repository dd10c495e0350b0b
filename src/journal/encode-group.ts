import { InvalidInputError } from '../base/errors.js'
import { JournalError } from './errors.js'
import { maxPayloadBytes } from './frame.js'
import type { JournalRecord } from './journal.js'

/**
 * Encodes one atomic group as the text of a frame: JSON texts joined by commas.
 *
 * Throws `journal_record_too_large` for a group that does not fit a frame, and `invalid_input` for a record that JSON
 * would leave out.
 */
export function encodeGroup(records: readonly JournalRecord[]): string {
  let text = ''
  for (const record of records) {
    const json: string | undefined = JSON.stringify(record)
    if (json === undefined) {
      throw new InvalidInputError({ subject: 'journal record', field: '$', reason: `${typeof record} is not JSON` })
    }
    text = text === '' ? json : `${text},${json}`
  }
  // A UTF-16 unit takes at most three bytes, so most groups need no exact count.
  if (3 * text.length <= maxPayloadBytes) return text
  const bytes = Buffer.byteLength(text)
  if (bytes <= maxPayloadBytes) return text
  throw new JournalError('journal_record_too_large', { bytes, limit: maxPayloadBytes })
}
