import * as v from 'valibot'
import { decode } from '../base/decode.js'
import type { JsonObject } from '../base/json.js'
import { visitInTurns, type LoopShare } from '../base/loop-share.js'
import type { JournalRecovery, JournalRecord } from '../journal/journal.js'
import { LaneError } from './errors.js'
import type { LaneStream } from './types.js'

/** Every record of the lane is a stream's name with its fact or snapshot row. The stream checks the content. */
const envelope = v.strictTuple([v.string(), v.custom<JsonObject>(isJsonObject, 'expected an object')])

/**
 * Replays a journal into its streams, creating each when its first record appears. Yields to the event loop
 * regularly. Resolves with the number of rows of the snapshot.
 *
 * Rejects with `lane_unknown_stream`, with `invalid_input` for a record of the wrong form, and with whatever a stream
 * throws.
 */
export async function replayInto(
  streams: Map<string, LaneStream>,
  recovery: JournalRecovery,
  streamFor: (name: string) => LaneStream | undefined,
  share: LoopShare,
): Promise<number> {
  let rows = 0
  const open = (record: JournalRecord, subject: string): { stream: LaneStream; content: JsonObject } => {
    const [name, content] = isEnvelope(record) ? record : decode(envelope, record, subject)
    let stream = streams.get(name)
    if (stream === undefined) {
      stream = streamFor(name)
      if (stream === undefined) {
        throw new LaneError('lane_unknown_stream', { stream: name, record: subject })
      }
      streams.set(name, stream)
    }
    return { stream, content }
  }
  await visitInTurns(recovery.snapshot?.rows ?? [], share, (row) => {
    rows += 1
    const { stream, content } = open(row, 'snapshot row')
    stream.restore(content)
  })
  await visitInTurns(recovery.records, share, ({ sequence, record }) => {
    const { stream, content } = open(record, `journal record ${sequence}`)
    stream.replay(content)
  })
  return rows
}

/** Asked of every record; the schema is asked what is wrong. */
function isEnvelope(record: JournalRecord): record is readonly [string, JsonObject] {
  return Array.isArray(record) && record.length === 2 && typeof record[0] === 'string' && isJsonObject(record[1])
}

function isJsonObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
