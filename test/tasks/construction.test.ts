import { describe, expect, it } from 'vitest'
import {
  budgetDimension,
  consumedPercent,
  createRun,
  createTaskSpec,
  decodeBytes,
  decodeText,
  defaultHeartbeatPolicy,
  departmentId,
  encodeBytes,
  encodeText,
  heartbeatTimeout,
  nextOccurrence,
  outcomeFromParts,
  parseId,
  succeeded,
  type Base64,
  type RunPolicy,
  type TaskConstraints,
  type TaskErrorCode,
  type TaskId,
} from '../../src/tasks/index.js'
import { nil, R1, T1 } from './support/ids.js'

function errorOf(build: () => unknown): { readonly code: string; readonly data: unknown } {
  try {
    build()
  } catch (error) {
    return error as { readonly code: string; readonly data: unknown }
  }
  return { code: 'none', data: undefined }
}

function expectError(build: () => unknown, code: TaskErrorCode, data: object = {}): void {
  const error = errorOf(build)
  expect(error.code).toBe(code)
  expect(error.data).toEqual(data)
}

const withPolicy = (runPolicy: RunPolicy) => () => createTaskSpec({ id: T1, kind: 'work', runPolicy })
const withConstraints = (constraints: Partial<TaskConstraints>) => () =>
  createTaskSpec({ id: T1, kind: 'work', constraints })

describe('a task spec', () => {
  it('[T-106] has a default for everything but its id and kind', () => {
    expect(createTaskSpec({ id: T1, kind: 'work' })).toEqual({
      id: T1,
      kind: 'work',
      runPolicy: { type: 'once' },
      constraints: { maxAttempts: 1, concurrencyKeyHoldPolicy: 'hold_during_retry', safetyLevel: 'pure' },
      payload: { bytes: '' },
      metadata: { tags: [], priority: 0 },
    })
  })

  it('[T-105] [T-31] refuses a nil id before it looks at the policy', () =>
    expectError(
      () => createTaskSpec({ id: nil as TaskId, kind: '', runPolicy: { type: 'repeat', count: 0, intervalMs: 0 } }),
      'invalid_task_id',
      { taskId: nil },
    ))

  it('[T-105] [T-31] refuses zero counts and intervals, the count first', () => {
    expectError(withPolicy({ type: 'repeat', count: 0, intervalMs: 0 }), 'invalid_repeat_count', { count: 0 })
    expectError(withPolicy({ type: 'repeat', count: 1, intervalMs: 0 }), 'invalid_repeat_interval_ms', {
      intervalMs: 0,
    })
  })

  it('[T-105] [T-31] refuses bad constraints in this order', () => {
    const bad = { maxAttempts: 0, timeoutMs: 0, concurrencyKey: '', requiredCapabilities: [] }
    expectError(withConstraints(bad), 'invalid_max_attempts', { maxAttempts: 0 })
    expectError(withConstraints({ ...bad, maxAttempts: 1 }), 'zero_timeout')
    expectError(withConstraints({ ...bad, maxAttempts: 1, timeoutMs: 1 }), 'empty_concurrency_key')
    expectError(withConstraints({ requiredCapabilities: [] }), 'empty_capabilities')
    expectError(withConstraints({ requiredCapabilities: ['a', ''] }), 'empty_capability_entry')
  })

  it('[T-105] [T-31] refuses an empty kind last', () => {
    expectError(() => createTaskSpec({ id: T1, kind: '' }), 'empty_kind')
  })

  it('[T-118] names the field that has the wrong shape', () => {
    const cases: readonly (readonly [Partial<TaskConstraints>, string])[] = [
      [{ maxAttempts: 1.5 }, 'constraints.maxAttempts'],
      [{ maxAttempts: 2 ** 32 }, 'constraints.maxAttempts'],
      [{ timeoutMs: -1 }, 'constraints.timeoutMs'],
      [{ concurrencyKey: 'k'.repeat(4097) }, 'constraints.concurrencyKey'],
      [{ safetyLevel: 'safe' as 'pure' }, 'constraints.safetyLevel'],
    ]
    for (const [constraints, field] of cases) {
      const error = errorOf(withConstraints(constraints))
      expect(error.code).toBe('invalid_input')
      expect(error.data).toMatchObject({ subject: 'task spec', field })
    }
  })

  it('[T-107] takes a copy that its caller cannot change afterwards', () => {
    const tags = ['a']
    const bytes = new Uint8Array([1, 2])
    const spec = createTaskSpec({ id: T1, kind: 'work', metadata: { tags }, payload: { bytes } })
    tags.push('b')
    bytes[0] = 9
    expect(spec.metadata.tags).toEqual(['a'])
    expect(decodeBytes(spec.payload.bytes)).toEqual(new Uint8Array([1, 2]))
  })
})

describe('a cron policy', () => {
  const cron = (expression: string, maxOccurrences?: number): RunPolicy => ({
    type: 'cron',
    expression,
    ...(maxOccurrences !== undefined && { maxOccurrences }),
  })

  it.each(['* * * *', '* * * * * *', '61 * * * * * *', 'x * * * * * *', '', '* * * * * * * *', '@daily'])(
    '[T-108] refuses %j',
    (expression) => {
      expect(errorOf(withPolicy(cron(expression))).code).toBe('cron_policy_error')
    },
  )

  it('[T-108] refuses to occur zero times', () => {
    expect(errorOf(withPolicy(cron('0 0 12 * * * *', 0))).code).toBe('cron_policy_error')
    expect(withPolicy(cron('0 0 12 * * * *', 1))().runPolicy).toEqual(cron('0 0 12 * * * *', 1))
  })

  it('[T-109] finds occurrences in UTC, strictly after an instant, to the year', () => {
    const noon = Date.UTC(2026, 4, 4, 12)
    expect(nextOccurrence('0 0 12 * * * *', noon - 1)).toBe(noon)
    expect(nextOccurrence('0 0 12 * * * *', noon)).toBe(noon + 86_400_000)
    expect(nextOccurrence('*/15 * * * * * *', noon + 1)).toBe(noon + 15_000)
    expect(nextOccurrence('*/15 * * * * * *', new Date(noon + 14_999))).toBe(noon + 15_000)
    expect(nextOccurrence('*/15 * * * * * *', noon + 15_000)).toBe(noon + 30_000)
    expect(nextOccurrence('0 0 0 1 1 * 2030', noon)).toBe(Date.UTC(2030, 0, 1))
    expect(nextOccurrence('0 0 0 1 1 * 2020', noon)).toBeUndefined()
  })

  it('[T-108] counts Sunday as 0 and as 7', () => {
    const monday = Date.UTC(2026, 4, 4)
    const sunday = Date.UTC(2026, 4, 10)
    expect(nextOccurrence('0 0 0 ? * 0 *', monday)).toBe(sunday)
    expect(nextOccurrence('0 0 0 ? * 7 *', monday)).toBe(sunday)
    expect(nextOccurrence('0 0 0 ? * SUN *', monday)).toBe(sunday)
  })
})

describe('ids', () => {
  it('[T-31] a run refuses nil ids', () => {
    const run = { id: R1, taskId: T1, createdAtMs: 1, scheduledAtMs: 1 }
    expectError(() => createRun({ ...run, id: nil as typeof R1 }), 'invalid_run_id', { runId: nil })
    expectError(() => createRun({ ...run, taskId: nil as TaskId }), 'invalid_task_id', { taskId: nil })
  })

  it('[T-102] are taken in any case and kept in one', () => {
    expect(parseId('ABCDEF01-0000-4000-8000-00000000000A')).toBe('abcdef01-0000-4000-8000-00000000000a')
    expect(errorOf(() => parseId('not an id', 'task id'))).toMatchObject({
      code: 'invalid_input',
      data: { subject: 'task id' },
    })
  })

  it('[T-115] a department label is measured in bytes', () => {
    expect(departmentId('ä'.repeat(64))).toHaveLength(64)
    expectError(() => departmentId('ä'.repeat(65)), 'department_id_too_long', { length: 130 })
    expectError(() => departmentId(''), 'department_id_empty')
  })
})

describe('an outcome', () => {
  it('[T-111] turns empty output into none when helped, and keeps it when given in parts', () => {
    expect(succeeded(new Uint8Array())).toEqual({ result: 'success' })
    expect(outcomeFromParts({ result: 'success', output: encodeBytes(new Uint8Array()) })).toEqual({
      result: 'success',
      output: '',
    })
  })

  it('[T-110] checks the error before the output', () => {
    const output = encodeText('x')
    expectError(() => outcomeFromParts({ result: 'failure', output }), 'non_success_without_error', {
      result: 'failure',
    })
    expectError(
      () => outcomeFromParts({ result: 'failure', error: '', output, failureClass: 'terminal' }),
      'non_success_with_output',
      { result: 'failure' },
    )
    expectError(() => outcomeFromParts({ result: 'suspended', error: '' }), 'success_with_error', {
      result: 'suspended',
      error: '',
    })
  })
})

describe('budgets', () => {
  it('[T-112] accepts the names of old as aliases', () => {
    expect(
      ['Token', 'CostCents', 'cost_cents', 'token', 'time:ms', 'cost:eur', 'gpu_secs'].map(budgetDimension),
    ).toEqual(['token', 'cost:usd', 'cost:usd', 'token', 'time:ms', 'cost:eur', 'gpu_secs'])
  })

  it.each(['TimeSecs', 'time_secs'])('refuses %s, because time is counted in milliseconds', (name) => {
    const reason = 'time is counted in milliseconds: time:ms'
    expectError(() => budgetDimension(name), 'invalid_budget_dimension', { name, reason })
    expect(() => budgetDimension(name)).toThrow(reason)
  })

  it.each(['', 'Cost', 'cost:', ':usd', '1st', 'a b', 'cost:usd:x', '__proto__', 'a'.repeat(33)])(
    '[T-112] refuses the dimension %j',
    (name) => expectError(() => budgetDimension(name), 'invalid_budget_dimension', { name }),
  )

  it('[T-113] counts spent percent down, to 100 at most', () => {
    const percent = (consumed: number, limit: number): number =>
      consumedPercent({
        taskId: T1,
        dimension: budgetDimension('token'),
        limit,
        consumed,
        reserved: 0,
        allocatedAtMs: 0,
        exhausted: false,
      })
    expect(percent(400, 500)).toBe(80)
    expect(percent(199, 200)).toBe(99)
    expect(percent(900, 500)).toBe(100)
    expect(percent(0, 1)).toBe(0)
    expect(percent(Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER)).toBe(99)
  })
})

describe('a heartbeat policy', () => {
  it('[T-114] waits three intervals of thirty seconds unless told otherwise, and saturates', () => {
    expect(heartbeatTimeout(defaultHeartbeatPolicy)).toBe(90_000)
    expect(heartbeatTimeout({ intervalMs: Number.MAX_SAFE_INTEGER, timeoutMultiplier: 3 })).toBe(9_007_199_254_740_991)
  })

  it('[T-114] refuses zeros', () => {
    expectError(() => heartbeatTimeout({ intervalMs: 0, timeoutMultiplier: 1 }), 'zero_heartbeat_interval')
    expectError(() => heartbeatTimeout({ intervalMs: 1, timeoutMultiplier: 0 }), 'zero_timeout_multiplier')
  })
})

it('[T-104] bytes and text survive', () => {
  expect(decodeBytes(encodeBytes(new Uint8Array([0, 127, 128, 255])))).toEqual(new Uint8Array([0, 127, 128, 255]))
  expect(decodeText(encodeText('grüße'))).toBe('grüße')
  expect(encodeBytes(new Uint8Array([1, 2, 3, 4]).subarray(1, 3))).toBe('AgM=')
})

it('[T-104] a payload may be long', () => {
  const bytes = new Uint8Array(20 * 1024 * 1024)
  expect(createTaskSpec({ id: T1, kind: 'work', payload: { bytes } }).payload.bytes).toHaveLength(27_962_028)
})

it.each(['abc', 'ab=c', '====', 'ab c', 'abcd\n', '=bcd', 'abc-'])('[T-104] %j is not base64 text', (bytes) => {
  const error = errorOf(() => createTaskSpec({ id: T1, kind: 'work', payload: { bytes: bytes as Base64 } }))
  expect(error).toMatchObject({ code: 'invalid_input', data: { field: 'payload.bytes' } })
})
