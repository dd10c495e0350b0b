/**
 * The small program that a supervised child runs under: `supervisor.js DIRECTORY`.
 *
 * It runs nothing before its owner sends the command on standard input, which the owner does once this process is
 * recorded. It outlives its owner, or ends the child when the owner is gone or silent, as the command says. It writes
 * the output to bounded files, ends whatever the child leaves running, in whatever group or session, and leaves a
 * report in the directory of how the child ended.
 */
import { systemClock } from '../../base/clock.js'
import { DeadlineQueue } from '../../base/deadline-queue.js'
import { StatewardError } from '../../base/errors.js'
import { runChildProcess } from './child-process.js'
import { ChildInput, childInputPath } from './child-input.js'
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

/** The first line of standard input; `undefined` if the input ends before it. */
async function readCommand(): Promise<SupervisedCommand | undefined> {
  const { stdin } = process
  return new Promise((resolve) => {
    let text = ''
    stdin.setEncoding('utf8')
    const onText = (chunk: string): void => {
      text += chunk
      const end = text.indexOf('\n')
      if (end === -1) return
      stdin.off('data', onText)
      resolve(JSON.parse(text.slice(0, end)) as SupervisedCommand)
    }
    stdin.on('data', onText)
    stdin.on('close', () => resolve(undefined))
    stdin.on('error', () => resolve(undefined))
  })
}

async function supervise(call: SupervisedCommand, home: string): Promise<ExitReport> {
  const { mark, graceMs, outputLimitBytes, endsWithOwner, ownerSilenceMs } = call
  const deadlines = new DeadlineQueue(systemClock)
  const [retire, terminate] = [new AbortController(), new AbortController()]
  let interruptedBy: 'request' | 'owner_lost' | null = null
  const ask = (cause: 'request' | 'owner_lost'): void => {
    // A silent owner may later turn out to be gone. That does not count as a second request.
    if (retire.signal.aborted) return interruptedBy === cause && cause === 'owner_lost' ? undefined : terminate.abort()
    interruptedBy = cause
    retire.abort()
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => ask('request'))
  if (!endsWithOwner) process.stdin.destroy()
  else if (process.stdin.closed) ask('owner_lost')
  else process.stdin.once('close', () => ask('owner_lost'))
  if (endsWithOwner && ownerSilenceMs !== undefined) {
    const waitOn = () => deadlines.after(ownerSilenceMs, () => ask('owner_lost'))
    let silence = waitOn()
    process.stdin.on('data', () => {
      silence[Symbol.dispose]()
      silence = waitOn()
    })
  }
  using output = new OutputFiles(home, outputLimitBytes)
  using standardInput = new ChildInput(home)
  const input = childInputPath(home)
  const traces = { mark, ...(input !== undefined && { input }) }
  try {
    const report = await runChildProcess(call, {
      clock: systemClock,
      deadlines,
      graceMs,
      input: standardInput.descriptor,
      retiring: retire.signal,
      signal: terminate.signal,
      onStarted: (pid) => writeChildRecord(home, pid),
      onOutput: (bytes, stream) => output.write(bytes, stream),
      onExited: () => killProcesses(traces, systemClock),
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
