import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'

const script = join(import.meta.dirname, '../../.ci/count.mjs')
let reports: string

beforeEach(() => {
  reports = mkdtempSync(join(tmpdir(), 'stateward-count-'))
})
afterEach(() => rmSync(reports, { recursive: true }))

function report(name: string, passed: number, failed: number, testResults: readonly object[] = [], skipped = 0): void {
  const counts = { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped, numTodoTests: 0 }
  const text = JSON.stringify({ ...counts, testResults })
  writeFileSync(join(reports, name), text)
}

function count(status: number): { readonly line: string; readonly status: number | null } {
  const { stdout, status: exit } = spawnSync(process.execPath, [script, reports, String(status)], { encoding: 'utf8' })
  return { line: stdout, status: exit }
}

it('adds up all runs', () => {
  report('development.json', 40, 0)
  report('production.json', 2, 0)
  expect(count(0)).toEqual({ line: '42 passed, 0 failed\n', status: 0 })
})

it('keeps the status of a failed command', () => {
  report('development.json', 3, 0)
  expect(count(124)).toEqual({ line: '3 passed, 0 failed\n', status: 124 })
})

it('does not believe a success that shows no passed test', () => {
  expect(count(0)).toEqual({ line: '0 passed, 0 failed\n', status: 1 })
})

it('counts a file that did not load as one failure, a file with a failed test once', () => {
  report('development.json', 5, 1, [
    { status: 'failed', assertionResults: [] },
    { status: 'failed', assertionResults: [{ status: 'passed' }, { status: 'failed' }] },
    { status: 'passed', assertionResults: [{ status: 'passed' }] },
  ])
  expect(count(0)).toEqual({ line: '5 passed, 2 failed\n', status: 1 })
})

it('says how many tests were skipped, if any', () => {
  report('development.json', 5, 0)
  report('nodes.json', 0, 0, [], 20)
  expect(count(0)).toEqual({ line: '5 passed, 0 failed, 20 skipped\n', status: 0 })
})
