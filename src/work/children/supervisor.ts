/**
 * The small program that a supervised child runs under: `supervisor.js DIRECTORY`.
 *
 * It runs nothing before its owner has said on standard input what to run, which that does once it is on record that this
 * process is there. It outlives its owner, or ends the child when the owner is gone, as it was told; it writes the output to
 * bounded files, ends whatever the child leaves running, wherever that went, and leaves in the directory how it ended.
 */
import { systemClock } from '../../base/clock.js'
import { DeadlineQueue } from '../../base/deadline-queue.js'
import { StatewardError } from '../../base/errors.js'
import { runChildProcess } from './child-process.js'
import { writeChildRecord } from './child-record.js'
import { writeExitReport, type ExitReport } from './exit-report.js'
import { killProcesses } from './marked-processes.js'
import { OutputFiles } from './output-files.js'
import type { SupervisedCommand } from './supervised-child.js'

const directory = process.argv[2]
if (directory === undefined) throw new TypeError('usage: supervisor DIRECTORY')
const command = await readCommand()
writeExitReport(directory, command === undefined ? { type: 'unasked' } : await supervise(command, directory))
process.exit()

/** The first line of standard input; `undefined` when it ends before. */
async function readCommand(): Promise<SupervisedCommand | undefined> {
  const { stdin } = process
  return new Promise((resolve) => {
    let text = ''
    stdin.setEncoding('utf8')
    stdin.on('data', (chunk: string) => {
      text += chunk
      if (text.endsWith('\n')) resolve(JSON.parse(text) as SupervisedCommand)
    })
    stdin.on('close', () => resolve(undefined))
    stdin.on('error', () => resolve(undefined))
  })
}

async function supervise(call: SupervisedCommand, home: string): Promise<ExitReport> {
  const { mark, graceMs, outputLimitBytes, endsWithOwner } = call
  const [retire, terminate] = [new AbortController(), new AbortController()]
  let interruptedBy: 'request' | 'owner_lost' | null = null
  const ask = (cause: 'request' | 'owner_lost'): void => {
    if (retire.signal.aborted) return terminate.abort()
    interruptedBy = cause
    retire.abort()
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => ask('request'))
  if (!endsWithOwner) process.stdin.destroy()
  else if (process.stdin.closed) ask('owner_lost')
  else process.stdin.once('close', () => ask('owner_lost'))
  using output = new OutputFiles(home, outputLimitBytes)
  try {
    const report = await runChildProcess(call, {
      clock: systemClock,
      deadlines: new DeadlineQueue(systemClock),
      graceMs,
      retiring: retire.signal,
      signal: terminate.signal,
      onStarted: (pid) => writeChildRecord(home, pid),
      onOutput: (bytes, stream) => output.write(bytes, stream),
      onExited: () => killProcesses({ mark }, systemClock),
    })
    const { exitCode, signal, timedOut, durationMs, outputTail } = report
    return {
      type: 'ended',
      exitCode,
      signal,
      timedOut,
      interruptedBy: report.interrupted ? interruptedBy : null,
      durationMs,
      stdoutBytes: output.totals.stdout,
      stderrBytes: output.totals.stderr,
      outputTail,
      outputFailure: output.failure,
    }
  } catch (error) {
    if (!StatewardError.is(error, 'child_not_started')) throw error
    const { systemCode = null } = error.data as { readonly systemCode?: string }
    return { type: 'not_started', systemCode, message: error.message }
  }
}
