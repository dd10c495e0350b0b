import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { vi } from 'vitest'
import { ProcessRecords } from '../../../src/work/children/process-records.js'
import { systemClock } from '../../../src/base/clock.js'
import type { RunReport } from '../../../src/cli/run-report.js'
import { buildLibrary } from '../../support/build.js'

/** How a run of the command line ended. */
export interface CliEnd {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** The command line, running in a process of its own. */
export class CliRun {
  readonly process: ChildProcessByStdio<null, Readable, Readable>
  readonly ended: Promise<CliEnd>
  stdout = ''
  stderr = ''

  constructor(process: ChildProcessByStdio<null, Readable, Readable>) {
    this.process = process
    process.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    process.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.ended = once(process, 'close').then(([exitCode, signal]: unknown[]) => ({
      exitCode: exitCode as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: this.stdout,
      stderr: this.stderr,
    }))
  }
}

/** A folder with a plan and what its tools leave behind. Tools run in it, so relative paths in scripts mean it. */
export class Workspace implements AsyncDisposable {
  readonly folder: string
  /** How wide the terminal is that {@link startOnTerminal} opens. */
  terminalColumns = 80
  readonly #main: string
  readonly #runs: CliRun[] = []

  private constructor(folder: string, main: string) {
    this.folder = folder
    this.#main = main
  }

  static async create(): Promise<Workspace> {
    const folder = await mkdtemp(join(tmpdir(), 'stateward-cli-'))
    return new Workspace(folder, join(await buildLibrary(), 'src', 'cli', 'main.js'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is left unless a test has failed.
    for (const { process } of this.#runs) process.kill('SIGKILL')
    await Promise.all(this.#runs.map(({ ended }) => ended))
    await new ProcessRecords(this.path('data/processes')).reap(systemClock)
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  /** Writes `plan.json`. */
  async plan(tools: readonly object[], more: object = {}): Promise<void> {
    await writeFile(this.path('plan.json'), JSON.stringify({ name: 'demo', ...more, tools }))
  }

  async write(name: string, text = ''): Promise<void> {
    await writeFile(this.path(name), text)
  }

  start(...args: readonly string[]): CliRun {
    return this.#spawn(process.execPath, [this.#main, ...args])
  }

  /** Runs the command line on a terminal of its own; what the terminal gets is the run's `stdout`. */
  startOnTerminal(...args: readonly string[]): CliRun {
    const words = [process.execPath, this.#main, ...args].map((word) => `'${word}'`)
    const command = `stty cols ${this.terminalColumns}; exec ${words.join(' ')}`
    return this.#spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { TERM: 'xterm-256color' })
  }

  /** Runs the command line with standard error at the place where standard output is. */
  startMerged(...args: readonly string[]): CliRun {
    return this.#spawn('sh', ['-c', 'exec "$0" "$@" 2>&1', process.execPath, this.#main, ...args])
  }

  /** Runs the command line where no file may grow beyond so many bytes, as on a disk that is full. */
  startOnFullDisk(limitBytes: number, ...args: readonly string[]): CliRun {
    const script = `ulimit -f ${limitBytes / 512}; exec "$0" "$@"`
    return this.#spawn('sh', ['-c', script, process.execPath, this.#main, ...args])
  }

  #spawn(command: string, args: readonly string[], variables: NodeJS.ProcessEnv = {}): CliRun {
    const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe']
    // What the options think of colours must not matter; a CI has opinions of its own.
    const { NO_COLOR: _, FORCE_COLOR: __, CI: ___, ...env } = { ...process.env, ...variables }
    const run = new CliRun(spawn(command, args, { cwd: this.folder, env, stdio }))
    this.#runs.push(run)
    return run
  }

  /** Runs the plan to its end and reads the report. */
  async run(...options: readonly string[]): Promise<CliEnd & { readonly report: RunReport }> {
    const end = await this.start('run', 'plan.json', '--data-dir', 'data', '--json', ...options).ended
    if (end.stdout === '') throw new Error(`no report: ${end.stderr}`)
    return { ...end, report: JSON.parse(end.stdout) as RunReport }
  }

  /** Waits until a tool has made this file; its text without the last newline. */
  async made(name: string): Promise<string> {
    return vi.waitFor(() => this.read(name), { interval: 5, timeout: 10_000 })
  }

  async read(name: string): Promise<string> {
    return (await readFile(this.path(name), 'utf8')).trimEnd()
  }

  /** What the tools have noted in the file `log`, sorted. */
  async log(): Promise<string[]> {
    return existsSync(this.path('log')) ? (await this.read('log')).split('\n').sort() : []
  }
}

/** A tool that runs a shell script. */
export function tool(name: string, script: string, more: object = {}): object {
  return { name, command: 'sh', args: ['-c', script], ...more }
}

/** Name and status of every tool. */
export function statuses({ tools }: RunReport): Record<string, string> {
  return Object.fromEntries(
    tools.map(({ name, status, begun }) => [name, begun === null ? status : `${status} ${begun}`]),
  )
}
