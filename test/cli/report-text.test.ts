import { describe, expect, it } from 'vitest'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import { dryRunText, type DryRun } from '../../src/cli/dry-run.js'
import { createPaint } from '../../src/cli/paint.js'
import { reportText } from '../../src/cli/report-text.js'
import { reportOf, resultWithoutRun, type ToolResult } from '../../src/cli/run-report.js'
import { widthOf } from '../../src/cli/text.js'

const operationId = '019a0000-0000-7000-8000-000000000001' as OperationId
const paint = createPaint(false)

function result(name: string, more: Partial<ToolResult> = {}): ToolResult {
  const process = {
    exitCode: 0,
    signal: null,
    timedOut: false,
    durationMs: 1234,
    outputBytes: 9,
    outputTail: 'all well\n',
    outputs: {},
  }
  return { name, status: 'as_expected', begun: 'now', operationId, attempt: 1, reason: null, process, ...more }
}

const failing = result('test-of-everything.unit-and-integration', {
  status: 'unexpected',
  reason: 'ended with exit code 1 instead of exit code 0',
  attempt: 3,
  process: {
    exitCode: 1,
    signal: null,
    timedOut: false,
    durationMs: 61_000,
    outputBytes: 90,
    outputTail: `\u001b[31merror\u001b[0m ${'✅ 日本語 '.repeat(30)}\n`,
    outputs: {},
  },
})

const report = reportOf({
  plan: 'demo',
  session: 'plan:demo',
  dataDir: '/data',
  cut: null,
  tools: [
    result('build'),
    failing,
    resultWithoutRun('publish', 'not_started', `needs ${failing.name}, which failed`),
    resultWithoutRun('deploy', 'skipped', 'if: ${CHANNEL:-preview} == stable does not hold'),
    result('lint', { begun: 'before', status: 'interrupted', reason: 'was asked to end', process: null }),
    result('hangs', { process: { ...(failing.process as object), timedOut: true } as ToolResult['process'] }),
  ],
  obligation: null,
})

const dry: DryRun = {
  plan: 'demo',
  dataDir: '/data/of/somebody/who/likes/long/paths/and/many/of/them',
  concurrency: 4,
  blocked: true,
  inUse: true,
  tools: report.tools.map((tool, index) => ({
    name: tool.name,
    action: 'run',
    command: 'sh',
    args: ['-c', `echo it's \u001b[2J${'x'.repeat(200)}`],
    needs: index === 0 ? [] : ['build'],
    result: index % 2 === 0 ? tool : null,
  })),
}

describe('a report', () => {
  it.each([40, 60, 120])('keeps its columns at %i', (columns) => {
    const texts = [
      reportText(report, { paint, columns }),
      reportText(report, { paint, columns, isTold: true }),
      reportText(report, { paint, columns, withIds: true }),
      dryRunText(dry, columns, paint),
    ]
    for (const text of texts) {
      expect(Math.max(...text.split('\n').map(widthOf))).toBeLessThanOrEqual(columns)
      expect(text).not.toMatch(/[^\P{Cc}\n]/u)
    }
    // What is said of a tool begins in one column, whatever the tool is called.
    const [full = ''] = texts
    const rows = full.split('\n').filter((line) => /^(ok|FAILED|not started|skipped|INTERRUPTED) /.test(line))
    const name = columns === 120 ? 39 : columns === 60 ? 20 : 11
    expect(rows).toHaveLength(6)
    expect(rows.map((row) => [row[12], /^ {2}\S/.test(row.slice(13 + name))])).toEqual(rows.map(() => [' ', true]))
  })

  it('reads like this at 60 columns', () => {
    const [, ...lines] = reportText(report, { paint, columns: 60 }).split('\n')
    expect(lines.filter((line) => !line.startsWith('    |'))).toEqual([
      'FAILED       test-of-everything.…  ended with exit code 1',
      '                                   instead of exit code 0, 1',
      '                                   min 1 s, attempt 3',
      'not started  publish               needs',
      '                                   test-of-everything.unit-a',
      '                                   nd-integration, which',
      '                                   failed',
      'skipped      deploy                if: ${CHANNEL:-preview}',
      '                                   == stable does not hold',
      'INTERRUPTED  lint                  was asked to end, in an',
      '                                   earlier run',
      'ok           hangs                 timed out, 1 min 1 s',
      '2 of 6 tools ended as the plan expects, 1 skipped',
      '1 tool did not finish: --resume runs what is left, --fresh',
      'forgets all and starts over',
      '1 tool failed: --retry-failed runs it again, and then what',
      'needs it',
      '',
    ])
  })

  it('shows of tools that were told already only what they printed', () => {
    const lines = reportText(report, { paint, isTold: true }).split('\n')
    expect(lines.slice(0, 2)).toEqual([`${failing.name}:`, expect.stringMatching(/^ {4}\| error ✅ 日本語/)])
    expect(lines[2]).toBe('2 of 6 tools ended as the plan expects, 1 skipped')
  })
})
