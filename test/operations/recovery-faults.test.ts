import { beforeEach, describe, expect, it } from 'vitest'
import { idOf, openRuntime } from './support/registry.js'
import { busy, captured, recovered, type Snapshot } from './support/wire.js'

/** What a recovery fails with. */
async function failureOf(snapshot: unknown): Promise<{ code: string; text: string }> {
  const runtime = await openRuntime()
  try {
    await runtime.importSession('recovered', snapshot)
  } catch (error) {
    expect([...runtime.sessions()]).toEqual([])
    return { code: (error as { code: string }).code, text: (error as Error).message }
  }
  throw new Error('the snapshot was accepted')
}

let snapshot: Snapshot

beforeEach(async () => {
  const fixture = await busy()
  snapshot = captured(fixture)
})

const record = (number: number) => snapshot.authority_state.operations[idOf(number)] as Record<string, unknown>
const spec = (number: number) => snapshot.operation_specs[idOf(number)] as Record<string, unknown>
const fact = (number: number) =>
  snapshot.authority_state.completion_feed_entries[idOf(number)] as Record<string, unknown>
const entry = (index: number) => snapshot.completion_entries[index] as Record<string, unknown>

describe('recovery fails closed', () => {
  const outcome = { outcome_type: 'cancelled', reason: null }
  const cases: [string, string, () => void][] = [
    [
      '[O-124] a retained record without a spec',
      'has no spec',
      () => delete (snapshot.operation_specs as object as Record<string, unknown>)[idOf(1)],
    ],
    ['O-124: a spec under the key of another', 'names', () => (spec(1)['id'] = idOf(2))],
    ['O-124: a spec of another kind', 'names kind', () => (spec(2)['kind'] = 'mob_member_child')],
    ['I1: a peer of a kind that has none', 'is peer-ready', () => (record(2)['peer_ready'] = true)],
    [
      'O-46: a spec that contradicts its kind on a peer channel',
      'contradicts the kind',
      () => (spec(2)['expect_peer_channel'] = true),
    ],
    [
      'O-50: the result of another operation in a record',
      'names',
      () => ((record(1)['terminal_outcome'] as Record<string, unknown>)['id'] = idOf(2)),
    ],
    [
      'O-50: the result of another operation in the feed, of one that has left the records',
      'names',
      () => {
        for (const part of ['operations', 'operation_specs']) {
          const rows = part === 'operations' ? snapshot.authority_state.operations : snapshot.operation_specs
          delete (rows as object as Record<string, unknown>)[idOf(1)]
        }
        for (const row of [fact(1), entry(0)]) (row['terminal_outcome'] as Record<string, unknown>)['id'] = idOf(2)
      },
    ],
    ['O-124: sequence 0', 'carries sequence 0', () => (record(1)['completion_sequence'] = 0)],
    ['O-124: a record beyond the counter', 'beyond the counter', () => (record(2)['completion_sequence'] = 3)],
    ['O-122: a feed fact beyond the counter', 'RecoverCompletionFeedEntry', () => (fact(2)['seq'] = 99)],
    [
      'O-119: a source that the spec contradicts',
      'operation source mirror',
      () => (spec(1)['operation_source'] = { kind: 'session_child', session_id: 'other' }),
    ],
    [
      'O-119: a source that the facts do not have',
      'operation source mirror',
      () => (record(1)['operation_source'] = null),
    ],
    [
      'O-137: a source that names nobody',
      'operation source authority has invalid source',
      () => {
        record(1)['operation_source'] = { kind: 'session_child', session_id: ' ' }
        delete spec(1)['operation_source']
      },
    ],
    ['a terminal record without outcome', 'missing terminal outcome', () => (record(1)['terminal_outcome'] = null)],
    [
      'a terminal record without sequence',
      'missing completion sequence',
      () => delete record(1)['completion_sequence'],
    ],
    [
      'the outcome of another status',
      'does not match terminal outcome discriminant',
      () => (record(1)['terminal_outcome'] = outcome),
    ],
    ['an outcome while live', 'terminal outcome for non-terminal', () => (record(3)['terminal_outcome'] = outcome)],
    ['a sequence while live', 'completion sequence for non-terminal', () => (record(3)['completion_sequence'] = 1)],
    ['an absent operation with a witness', 'non-terminal', () => Object.assign(record(1), { status: 'absent' })],
    ['one sequence for two', 'is claimed by', () => (record(2)['completion_sequence'] = 1)],
    ['a feed fact that differs from its record', 'drifted', () => (fact(1)['terminal_outcome'] = outcome)],
    ['a feed fact of another kind than its record', 'drifted', () => (fact(1)['kind'] = 'background_tool_op')],
    ['[O-123] a feed fact of a hidden kind', 'hidden kind', () => (fact(1)['kind'] = 'background_tool_capacity_slot')],
    [
      'O-121: an entry without a feed fact',
      'no generated feed authority',
      () => delete (snapshot.authority_state.completion_feed_entries as object as Record<string, unknown>)[idOf(1)],
    ],
    ['an entry that differs from its fact', 'drifted', () => (entry(0)['seq'] = 2)],
    [
      '[O-121] an entry twice',
      'appears twice',
      () => snapshot.completion_entries.push(structuredClone(snapshot.completion_entries[0]) as never),
    ],
    [
      '[O-125] a retention without the rows behind it',
      'no row is retained',
      () => {
        snapshot.completion_entries = []
        snapshot.completion_feed_retention = { dropped_through: 2, dropped_count: 2 }
      },
    ],
    [
      '[O-125] a retention that counts nothing dropped',
      'contradict each other',
      () => (snapshot.completion_feed_retention = { dropped_through: 1, dropped_count: 0 }),
    ],
    [
      'a retention that counts more rows than sequences',
      'more rows than sequences',
      () => (snapshot.completion_feed_retention = { dropped_through: 1, dropped_count: 2 }),
    ],
    [
      'a retention that names a retained row',
      'is retained',
      () => (snapshot.completion_feed_retention = { dropped_through: 1, dropped_count: 1 }),
    ],
  ]

  it.each(cases)('%s', async (_, message, damage) => {
    damage()
    expect(await failureOf(snapshot)).toEqual({ code: 'internal', text: expect.stringContaining(message) })
  })

  const fields: [string, () => void][] = [
    [
      'authority_state.completion_feed_entries',
      () => delete (snapshot.authority_state as Record<string, unknown>)['completion_feed_entries'],
    ],
    [`authority_state.operations.${idOf(1)}.operation_source`, () => delete record(1)['operation_source']],
    [`authority_state.operations.${idOf(1)}.peer_ready`, () => delete record(1)['peer_ready']],
    [`authority_state.operations.${idOf(1)}.status`, () => (record(1)['status'] = 'sleeping')],
    [`authority_state.operations.${idOf(1)}.kind`, () => (record(1)['kind'] = 'detached_job_wait')],
    [
      `authority_state.operations.${idOf(1)}.terminal_outcome.reason`,
      () => (record(1)['terminal_outcome'] = { outcome_type: 'terminated' }),
    ],
    [`authority_state.operations.${idOf(1)}.progress_count`, () => (record(1)['progress_count'] = 2 ** 53)],
    ['authority_state.next_completion_seq', () => (snapshot.authority_state.next_completion_seq = 1.5)],
    [
      'authority_state.max_completed',
      () => delete (snapshot.authority_state as Record<string, unknown>)['max_completed'],
    ],
    ['epoch_id', () => (snapshot.epoch_id = 'not-an-id')],
    [
      'cursors.runtime_observed_seq',
      () => delete (snapshot.cursors as Record<string, unknown>)['runtime_observed_seq'],
    ],
    ['operation_specs', () => delete (snapshot as Record<string, unknown>)['operation_specs']],
    ['completion_entries', () => delete (snapshot as Record<string, unknown>)['completion_entries']],
    ['completion_entries.0.seq', () => (entry(0)['seq'] = '1')],
    [
      'authority_state.operations."quoted"',
      () => (snapshot.authority_state.operations['"quoted"'] = record(1) as never),
    ],
  ]

  it.each(fields)('[O-120] on what does not decode, naming the field: %s', async (field, damage) => {
    damage()
    expect(await failureOf(snapshot)).toEqual({ code: 'invalid_input', text: expect.stringContaining(`: ${field}: `) })
  })

  it.each([null, 7, 'text', [], {}])('on what is no snapshot at all: %j', async (input) => {
    expect((await failureOf(input)).code).toBe('invalid_input')
  })

  it('takes optional fields that are missing for none', async () => {
    delete (snapshot.authority_state as Record<string, unknown>)['max_concurrent']
    delete (snapshot.authority_state as Record<string, unknown>)['wait_request_id']
    delete entry(0)['completed_at_ms']
    const session = await recovered(snapshot)
    expect(session.feed.since(0).entries[0]?.completedAtMs).toBeNull()
  })
})
