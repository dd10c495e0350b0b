/**
 * `npm run bench -- NAME [--json] [--quick]`
 *
 * Runs `bench/NAME.ts` and prints its report; with `--json` the last line is one JSON object
 * `{name, configuration, ratios, figures, aims, rows}`: `ratios` are those that have an aim, `figures` the others. Exit code 2 for an unknown bench or option.
 */
import { readdir } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { Bench, BenchReport } from './harness.js'
import { asJson, describeMachine, formatReport } from './report.js'

const frame = new Set(['harness', 'main', 'report', 'statistics'])

async function benchNames(): Promise<string[]> {
  const files = await readdir(new URL('.', import.meta.url))
  return files
    .filter((file) => file.endsWith('.js'))
    .map((file) => file.slice(0, -'.js'.length))
    .filter((name) => !frame.has(name))
    .sort()
}

async function runBench(name: string, quick: boolean): Promise<BenchReport> {
  const module = (await import(new URL(`${name}.js`, import.meta.url).href)) as { readonly default: Bench }
  const report = await module.default.run({ quick, progress: (line) => process.stderr.write(`${line}\n`) })
  return { ...report, configuration: { ...describeMachine(), quick, ...report.configuration } }
}

function refuse(reason: string): never {
  process.stderr.write(`${reason}\n`)
  process.exit(2)
}

function readArguments(): { readonly name: string; readonly json: boolean; readonly quick: boolean } {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { json: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
    })
    return { name: positionals[0] ?? '', ...values }
  } catch (error) {
    return refuse((error as Error).message)
  }
}

const { name, json, quick } = readArguments()
const known = await benchNames()
if (!known.includes(name)) refuse(`usage: npm run bench -- NAME [--json] [--quick], NAME one of: ${known.join(', ')}`)
const report = await runBench(name, quick)
process.stdout.write(`${formatReport(report)}\n`)
if (json) {
  process.stdout.write(`${JSON.stringify(asJson(report))}\n`)
}
