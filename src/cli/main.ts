#!/usr/bin/env node
import { fstatSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { systemClock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import { silentLogger, type Logger } from '../base/logger.js'
import { adminHelpText } from './admin/command.js'
import { helpText, parseCommand, type Command, type RunCommand } from './command.js'
import { showStatus } from './directory/status.js'
import { tail } from './directory/tail.js'
import { dryRun, dryRunText } from './dry-run.js'
import { listenForInterrupts } from './interrupts.js'
import { LineDisplay } from './line-display.js'
import { LiveDisplay } from './live-display.js'
import { columnsOf, createPaint, wantsColour } from './paint.js'
import { loadPlan } from './plan-file.js'
import type { LoadedPlan } from './loaded-plan.js'
import { reportText } from './report-text.js'
import { operationsLost } from '../operations/operation-lines.js'
import { runPlan } from './run-plan.js'
import { count, jsonLine, plain } from './text.js'

const { stdout, stderr } = process

/** Exit code for errors. Until the plan is read, errors are the caller's to fix; afterwards, the run has failed. */
let failureCode = 2

/** Runs the command line and returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const command = parseCommand(args)
  switch (command.type) {
    case 'help':
      stdout.write(helpText)
      return 0
    case 'admin help':
      stdout.write(adminHelpText)
      return 0
    case 'admin': {
      const { runAdminCommand } = await import('./admin/run.js')
      return runAdminCommand(command.command, { output: stdout, clock: systemClock })
    }
    case 'version':
      stdout.write(`${packageVersion()}\n`)
      return 0
    case 'run': {
      const file = await loadPlan(command.planFile)
      failureCode = 1
      return command.dryRun ? tellDryRun(file, command) : run(file, command)
    }
    case 'check': {
      const { plan } = await loadPlan(command.planFile)
      stdout.write(
        `${plain(command.planFile)}: plan ${plan.name}, ${count(plan.tools.length, 'tool')}, is well-formed\n`,
      )
      return 0
    }
    case 'mcp': {
      const file = await loadPlan(command.planFile)
      using interrupts = listenForInterrupts()
      const { serveMcp } = await import('./mcp.js')
      const dataDir = resolve(command.dataDir ?? join('.stateward', `${file.plan.name}-mcp`))
      await serveMcp(file, dataDir, packageVersion(), interrupts.retire)
      return 0
    }
    case 'status':
    case 'tail':
    case 'inspect':
    case 'top': {
      using interrupts = listenForInterrupts()
      const gone = new AbortController()
      // If the reader is gone, stop.
      stdout.once('error', () => gone.abort())
      const over = AbortSignal.any([interrupts.retire, gone.signal])
      await look(command, over)
      return 0
    }
  }
}

type LookCommand = Extract<Command, { readonly type: 'status' | 'tail' | 'inspect' | 'top' }>

async function look(command: LookCommand, signal: AbortSignal): Promise<void> {
  switch (command.type) {
    case 'status':
      return showStatus(command, stdout, signal)
    case 'tail':
      return tail(command, stdout, signal)
    case 'inspect': {
      const { inspect } = await import('./inspector/inspect.js')
      return inspect(command, stdout, signal)
    }
    case 'top': {
      const { top } = await import('./inspector/top.js')
      return top(command, stdout, signal)
    }
  }
}

async function run(file: LoadedPlan, command: RunCommand): Promise<number> {
  const { json, resume, retryFailed, fresh, cutDamage, ids } = command
  using interrupts = listenForInterrupts()
  using display = createDisplay()
  const { retire, terminate } = interrupts
  const report = await runPlan(file, {
    resume,
    retryFailed,
    fresh,
    onDamage: cutDamage ? 'cut' : 'refuse',
    dataDir: dataDirOf(file, command),
    retire,
    terminate,
    onEvent: (event) => display.show(event),
    logger: warningsTo(display),
  })
  display[Symbol.dispose]()
  const paint = createPaint(wantsColour(stdout))
  const isTold = readsTheSame()
  const text = json
    ? `${jsonLine(report)}\n`
    : reportText(report, { paint, columns: columnsOf(stdout), isTold, withIds: ids })
  stdout.write(text)
  return report.exitCode
}

async function tellDryRun(file: LoadedPlan, command: RunCommand): Promise<number> {
  const { json, resume, retryFailed, fresh } = command
  const told = await dryRun(file, { resume, retryFailed, fresh, dataDir: dataDirOf(file, command) })
  const paint = createPaint(wantsColour(stdout))
  stdout.write(json ? `${jsonLine(told)}\n` : dryRunText(told, columnsOf(stdout), paint))
  return 0
}

function dataDirOf({ plan }: LoadedPlan, { dataDir }: RunCommand): string {
  return resolve(dataDir ?? join('.stateward', plan.name))
}

/** True if both streams go to one place, a terminal or a log, so that nothing is printed there twice. */
function readsTheSame(): boolean {
  try {
    const [one, other] = [fstatSync(stdout.fd), fstatSync(stderr.fd)]
    return one.ino === other.ino && one.dev === other.dev
  } catch {
    // One of the streams is closed.
    return false
  }
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

/** Passes warnings of the runtime to the display. */
function warningsTo(display: LineDisplay | LiveDisplay): Logger {
  const warn: Logger['warn'] = (fields, message) => {
    // The report says this for each tool, without ids.
    if (message === operationsLost.message) return
    display.show({ type: 'warning', message: `${message}: ${jsonLine(fields)}` })
  }
  return { ...silentLogger, warn, error: warn }
}

/** Longest message, in UTF-16 units: a plan may contain keys and values of any length. */
const longestMessage = 2000

function fail(error: unknown): void {
  const message = plain(messageOf(error))
  const shown = message.length > longestMessage ? `${message.slice(0, longestMessage)}…` : message
  stderr.write(`stateward: ${shown}\n`)
  process.exitCode = failureCode
}

// The reader of the output may leave early; the tools still run to their end.
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
