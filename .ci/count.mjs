/**
 * `node count.mjs REPORTS STATUS` adds up the JSON reports of vitest in the folder REPORTS, prints
 * `N passed, N failed`, with `, N skipped` where some were, and ends with STATUS, or with 1 if STATUS claims a success that the reports do not show.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const [reports, status] = process.argv.slice(2)
let passed = 0
let failed = 0
let skipped = 0
for (const name of readdirSync(reports)) {
  const report = JSON.parse(readFileSync(join(reports, name), 'utf8'))
  passed += report.numPassedTests
  failed += report.numFailedTests
  skipped += report.numPendingTests + report.numTodoTests
  // A file that does not even load has no failed test of its own.
  failed += report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  ).length
}
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`)
const isProven = passed > 0 && failed === 0
process.exitCode = Number(status) === 0 && !isProven ? 1 : Number(status)
