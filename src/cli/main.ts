#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { systemClock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import { silentLogger, type Logger } from '../base/logger.js'
import { helpText, parseCommand, type RunCommand } from './command.js'
import { listenForInterrupts } from './interrupts.js'
import { LineDisplay } from './line-display.js'
import { LiveDisplay } from './live-display.js'
import { createPaint, wantsColour } from './paint.js'
import { loadPlan, type PlanFile } from './plan-file.js'
import { reportText } from './report-text.js'
import { runPlan } from './run-plan.js'
import { jsonLine, plain } from './text.js'

const { stdout, stderr } = process

/** Until the plan is read, what is wrong is the caller's to mend; afterwards the run broke off. */
let failureCode = 2

/** Does what the command line asks for and returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const command = parseCommand(args)
  switch (command.type) {
    case 'help':
      stdout.write(helpText)
      return 0
    case 'version':
      stdout.write(`${packageVersion()}\n`)
      return 0
    case 'run': {
      const file = await loadPlan(command.planFile)
      failureCode = 1
      return run(file, command)
    }
  }
}

async function run(file: PlanFile, command: RunCommand): Promise<number> {
  const { dataDir, json, resume, retryFailed, fresh, cutDamage } = command
  using interrupts = listenForInterrupts()
  using display = createDisplay()
  const { retire, terminate } = interrupts
  const report = await runPlan(file, {
    resume,
    retryFailed,
    fresh,
    onDamage: cutDamage ? 'cut' : 'refuse',
    dataDir: resolve(dataDir ?? join('.stateward', file.plan.name)),
    retire,
    terminate,
    onEvent: (event) => display.show(event),
    logger: warningsTo(display),
  })
  display[Symbol.dispose]()
  stdout.write(json ? `${jsonLine(report)}\n` : reportText(report, createPaint(wantsColour(stdout))))
  return report.exitCode
}

function createDisplay(): LineDisplay | LiveDisplay {
  const paint = createPaint(wantsColour(stderr))
  const canRedraw = stderr.isTTY && process.env['TERM'] !== 'dumb'
  return canRedraw ? new LiveDisplay(stderr, paint, systemClock) : new LineDisplay(stderr, paint, systemClock)
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** What the runtime reports goes where the run is told. */
function warningsTo(display: LineDisplay | LiveDisplay): Logger {
  const warn: Logger['warn'] = (fields, message) => {
    display.show({ type: 'warning', message: `${message}: ${jsonLine(fields)}` })
  }
  return { ...silentLogger, warn, error: warn }
}

function fail(error: unknown): void {
  stderr.write(`stateward: ${plain(messageOf(error))}\n`)
  process.exitCode = failureCode
}

// Whoever reads the output may leave early; the tools are run to their end all the same.
for (const stream of [stdout, stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}

process.on('uncaughtException', (error) => {
  fail(error)
  process.exit()
})

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  fail(error)
}
