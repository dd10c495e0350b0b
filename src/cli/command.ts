import { parseArgs } from 'node:util'
import { messageOf } from '../base/errors.js'
import { parseAdminCommand, type AdminCommand } from './admin/command.js'
import type { StatusOptions } from './directory/status.js'
import type { TailOptions } from './directory/tail.js'
import type { InspectCommand } from './inspector/inspect.js'
import type { TopCommand } from './inspector/top.js'
import type { McpCommand } from './mcp.js'
import { nearest } from './nearest.js'
import { UsageError } from './usage-error.js'

/** A parsed command line. */
export type Command =
  | { readonly type: 'help' }
  | { readonly type: 'version' }
  | ({ readonly type: 'run' } & RunCommand)
  | ({ readonly type: 'check' } & CheckCommand)
  | ({ readonly type: 'status' } & StatusOptions)
  | ({ readonly type: 'tail' } & TailOptions)
  | ({ readonly type: 'inspect' } & InspectCommand)
  | ({ readonly type: 'top' } & TopCommand)
  | ({ readonly type: 'mcp' } & McpCommand)
  | { readonly type: 'admin help' }
  | { readonly type: 'admin'; readonly command: AdminCommand }

/** Options of `stateward run`. */
export interface RunCommand {
  readonly planFile: string
  /** Default: `.stateward/<plan name>`. */
  readonly dataDir?: string
  /** Prints what would be done, and does nothing. */
  readonly dryRun: boolean
  /** Runs tools again that an earlier run started but did not finish. */
  readonly resume: boolean
  /** Runs tools again that ended differently from what the plan expects. */
  readonly retryFailed: boolean
  /** Discards all earlier runs of the plan. */
  readonly fresh: boolean
  /** Continues without records that are damaged or missing at the end of the journal. */
  readonly cutDamage: boolean
  /** Shows the ids of operations in the report. */
  readonly ids: boolean
  /** Prints the report as one line of JSON. */
  readonly json: boolean
}

/** Options of `stateward check`. */
export interface CheckCommand {
  readonly planFile: string
}

/** Shown by `stateward --help`. */
export const helpText = `Usage: stateward run <plan.json> [options]
       stateward check <plan.json>
       stateward status <dir> [--watch] [--json]
       stateward tail <dir> [--lines <n>] [--json]
       stateward inspect <url | dir | recording> [--port <n>] [--values] [--json]
       stateward top <url | dir | recording> [--json]
       stateward mcp <plan.json> [--data-dir <dir>]
       stateward admin <keygen | simulate | sign | verify | submit> ...

run      runs the tools of a plan, each one after the tools that it needs. Run the same command again after
         a crash: finished tools are not run twice.
check    checks a plan and starts nothing.
status   shows what a data directory holds, whether its owner is running or not: sessions, operations, tasks,
         budgets, waits.
tail     prints the last events of a data directory, and new ones as long as its owner is running.
inspect  serves a page that shows a running service, a data directory or a recording. Only this machine can
         open it, and it needs no internet.
top      shows the same in the terminal, in short.
mcp      serves the tools of a plan to a Model Context Protocol host over stdio. Each call returns a handle, and
         continues when the server is restarted. Needs @modelcontextprotocol/server.
admin    signs operators' commands and submits them to a running node (see stateward admin --help).

Options of run:
  --data-dir <dir>  where the journal is kept (default: .stateward/<plan name>)
  --dry-run         say what would run, and run nothing
  --resume          run lost and interrupted tools again
  --retry-failed    run tools again that did not end as the plan expects
  --fresh           forget all earlier runs of this plan and run every tool
  --cut-damage      continue even if records at the end of the journal are damaged or missing
  --ids             show the ids of operations in the report
  --json            print the report as one line of JSON; progress goes to standard error

Options of status and tail:
  --watch           update the status whenever the directory changes
  --lines <n>       begin with the last n events (default: 20)
  --json            print one line of JSON per status or event

Options of inspect and top:
  --port <n>        listen on this port of 127.0.0.1 (default: any free port)
  --values          show the contents of payloads, results and answers, with secrets masked
  --json            print the address, or the picture, as one line of JSON

  --help            show this text
  --version         show the version

Exit codes:
  0  every tool ended as the plan expects, or was skipped as it says
  1  a tool did not, or was lost or interrupted, or the run was aborted
  2  the plan or the command line is wrong; nothing was started

Ctrl-C asks the running tools to end and starts no more; a second one kills them.
`

const verbs = ['run', 'check', 'status', 'tail', 'inspect', 'top', 'mcp'] as const
type Verb = (typeof verbs)[number]

const flag = { type: 'boolean' } as const

const options = {
  'data-dir': { type: 'string' },
  'dry-run': flag,
  resume: flag,
  'retry-failed': flag,
  fresh: flag,
  'cut-damage': flag,
  ids: flag,
  json: flag,
  watch: flag,
  lines: { type: 'string' },
  port: { type: 'string' },
  values: flag,
  help: { ...flag, short: 'h' },
  version: { ...flag, short: 'v' },
} as const

type Option = keyof typeof options

const optionsOf: Readonly<Record<Verb, readonly Option[]>> = {
  run: ['data-dir', 'dry-run', 'resume', 'retry-failed', 'fresh', 'cut-damage', 'ids', 'json'],
  check: [],
  status: ['watch', 'json'],
  tail: ['lines', 'json'],
  inspect: ['port', 'values', 'json'],
  top: ['json'],
  mcp: ['data-dir'],
}

/** Parses a command line, without the program's own name. Raises `bad_usage`. */
export function parseCommand(args: readonly string[]): Command {
  // It has its own options.
  if (args[0] === 'admin') return adminCommand(args.slice(1))
  const { values, positionals } = parse(args)
  if (values.help) return { type: 'help' }
  if (values.version) return { type: 'version' }
  const [word, ...targets] = positionals
  const verb = verbOf(word)
  const unknown = (Object.keys(values) as Option[]).find((option) => !optionsOf[verb].includes(option))
  if (unknown !== undefined) throw new UsageError(`${verb} takes no --${unknown}`)
  const target = onlyTarget(verb, targets)
  const { json = false } = values
  switch (verb) {
    case 'check':
      return { type: 'check', planFile: target }
    case 'status':
      return { type: 'status', directory: target, watch: values.watch ?? false, json }
    case 'tail':
      return { type: 'tail', directory: target, lines: linesOf(values.lines), json }
    case 'inspect': {
      const port = portOf(values.port)
      return { type: 'inspect', target, values: values.values ?? false, json, ...(port !== undefined && { port }) }
    }
    case 'top':
      return { type: 'top', target, json }
    case 'mcp': {
      const dataDir = directoryOf(values['data-dir'])
      return { type: 'mcp', planFile: target, ...(dataDir !== undefined && { dataDir }) }
    }
    case 'run': {
      const { fresh = false, resume = false, 'retry-failed': retryFailed = false } = values
      const dataDir = directoryOf(values['data-dir'])
      if (fresh && (resume || retryFailed)) {
        throw new UsageError(`--fresh forgets what ${resume ? '--resume' : '--retry-failed'} would continue`)
      }
      return {
        type: 'run',
        planFile: target,
        dryRun: values['dry-run'] ?? false,
        resume,
        retryFailed,
        fresh,
        cutDamage: values['cut-damage'] ?? false,
        ids: values.ids ?? false,
        json,
        ...(dataDir !== undefined && { dataDir }),
      }
    }
  }
}

function adminCommand(args: readonly string[]): Command {
  const command = parseAdminCommand(args)
  return command === undefined ? { type: 'admin help' } : { type: 'admin', command }
}

function verbOf(word: string | undefined): Verb {
  if (word === undefined) throw new UsageError('no command given')
  const verb = verbs.find((known) => known === word)
  if (verb !== undefined) return verb
  const meant = nearest(word, [...verbs, 'admin'])
  const question = meant === undefined ? '' : `, did you mean ${meant}?`
  throw new UsageError(`unknown command ${JSON.stringify(word)}${question}`)
}

/** The noun for each command's argument. */
const nounOf: Readonly<Record<Verb, string>> = {
  run: 'plan file',
  check: 'plan file',
  status: 'directory',
  tail: 'directory',
  inspect: 'url, directory or recording',
  top: 'url, directory or recording',
  mcp: 'plan file',
}

function onlyTarget(verb: Verb, [target, extra]: readonly string[]): string {
  const noun = nounOf[verb]
  if (target === undefined || target === '') throw new UsageError(`${verb} needs a ${noun}`)
  if (extra !== undefined) throw new UsageError(`${verb} takes one ${noun}, but got ${JSON.stringify(extra)} too`)
  return target
}

function directoryOf(text: string | undefined): string | undefined {
  if (text === '') throw new UsageError('--data-dir needs a directory')
  return text
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new UsageError(`--port needs a number from 0 to 65535, but got ${JSON.stringify(text)}`)
}

function linesOf(text = '20'): number {
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--lines needs a whole number, but got ${JSON.stringify(text)}`)
  return Number(text)
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options })
  } catch (cause) {
    const [, unknown] = /^Unknown option '--([\w-]+)'/.exec(messageOf(cause)) ?? []
    if (unknown === undefined) throw new UsageError(messageOf(cause), undefined, { cause })
    const meant = nearest(unknown, Object.keys(options))
    throw new UsageError(
      `unknown option --${unknown}${meant === undefined ? '' : `, did you mean --${meant}?`}`,
      undefined,
      {
        cause,
      },
    )
  }
}
