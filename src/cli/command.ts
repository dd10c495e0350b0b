import { parseArgs } from 'node:util'
import { messageOf, StatewardError } from '../base/errors.js'

/** What the command line asks for. */
export type Command = { readonly type: 'help' } | { readonly type: 'version' } | ({ readonly type: 'run' } & RunCommand)

/** Options of `stateward run`. */
export interface RunCommand {
  readonly planFile: string
  /** `.stateward/<plan name>` when absent. */
  readonly dataDir?: string
  /** Runs tools again that an earlier run began but did not finish. */
  readonly resume: boolean
  /** Runs tools again that ended differently from what the plan expects. */
  readonly retryFailed: boolean
  /** Forgets every earlier run of the plan. */
  readonly fresh: boolean
  /** Goes on without records at the end of the journal that are damaged or missing. */
  readonly cutDamage: boolean
  /** Prints the report as one line of JSON. */
  readonly json: boolean
}

/** Raised with code `bad_usage` for a command line that cannot be understood. */
export class UsageError extends StatewardError<'bad_usage', Record<string, never>> {
  override readonly name = 'UsageError'

  constructor(reason: string, options?: ErrorOptions) {
    super('bad_usage', `${reason} (see stateward --help)`, {}, options)
  }
}

/** Shown by `stateward --help`. */
export const helpText = `Usage: stateward run <plan.json> [options]

Runs the tools of a plan as operations of one session and waits for all of them.
Run again after a crash, tools that have finished are not run twice.

Options:
  --data-dir <dir>  where the journal is kept (default: .stateward/<plan name>)
  --resume          run tools again that were lost or interrupted
  --retry-failed    run tools again that ended differently from what the plan expects
  --fresh           forget all earlier runs of this plan and start over
  --cut-damage      go on although the journal has lost records at its end
  --json            print the report as one line of JSON; progress goes to standard error
  --help            show this text
  --version         show the version

Exit codes:
  0  every tool ended as the plan expects
  1  a tool did not, or is lost or interrupted, or the run broke off
  2  the plan or the command line is wrong; nothing was started

Ctrl-C asks the running tools to end and starts no more; a second one kills them.
`

/** Reads a command line without the program's own name. Raises `bad_usage`. */
export function parseCommand(args: readonly string[]): Command {
  const { values, positionals } = parse(args)
  if (values.help) return { type: 'help' }
  if (values.version) return { type: 'version' }
  const [verb, planFile, stranger] = positionals
  if (verb === undefined) throw new UsageError('nothing to do: name a command')
  if (verb !== 'run') throw new UsageError(`unknown command ${JSON.stringify(verb)}`)
  if (planFile === undefined) throw new UsageError('run needs a plan file')
  if (stranger !== undefined) throw new UsageError(`run takes one plan file, but got ${JSON.stringify(stranger)} too`)
  const { resume, 'retry-failed': retryFailed, fresh, json, 'data-dir': dataDir, 'cut-damage': cutDamage } = values
  if (dataDir === '') throw new UsageError('--data-dir needs a directory')
  if (fresh && (resume || retryFailed)) {
    throw new UsageError(`--fresh forgets what ${resume ? '--resume' : '--retry-failed'} would go on with`)
  }
  return {
    type: 'run',
    planFile,
    resume,
    retryFailed,
    fresh,
    cutDamage,
    json,
    ...(dataDir !== undefined && { dataDir }),
  }
}

function parse(args: readonly string[]) {
  const flag = { type: 'boolean', default: false } as const
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        'data-dir': { type: 'string' },
        resume: flag,
        'retry-failed': flag,
        fresh: flag,
        'cut-damage': flag,
        json: flag,
        help: { ...flag, short: 'h' },
        version: { ...flag, short: 'v' },
      },
    })
  } catch (cause) {
    throw new UsageError(messageOf(cause), { cause })
  }
}
