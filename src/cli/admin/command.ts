import { parseArgs } from 'node:util'
import { messageOf } from '../../base/errors.js'
import { nearest } from '../nearest.js'
import { UsageError } from '../usage-error.js'

/** A parsed `stateward admin` command. */
export type AdminCommand =
  | { readonly verb: 'keygen'; readonly keyFile: string }
  | ({ readonly verb: 'simulate'; readonly proposal: string; readonly out?: string } & SnapshotSource)
  | { readonly verb: 'sign'; readonly subject: string; readonly keyFile: string; readonly out?: string }
  | ({
      readonly verb: 'verify'
      readonly commitFile: string
      readonly operatorsFile: string
    } & Partial<SnapshotSource>)
  | { readonly verb: 'submit'; readonly commitFile: string; readonly socket: string }

/** Where the snapshot of a node comes from: the node that listens at a socket, or a file. */
export type SnapshotSource = { readonly socket: string } | { readonly snapshotFile: string }

/** Shown by `stateward admin --help`. */
export const adminHelpText = `Usage: stateward admin keygen <key.json>
       stateward admin simulate <proposal> (--socket <path> | --snapshot <file>) [--out <commit.json>]
       stateward admin sign <event | commit.json> --key <key.json> [--out <commit.json>]
       stateward admin verify <commit.json> --operators <file> [--socket <path> | --snapshot <file>]
       stateward admin submit <commit.json> --socket <path>

keygen   makes the key of an operator, readable by its owner alone, and tells its public half.
simulate tells what a proposal would touch, and writes it down for operators to sign.
sign     signs an event for one operator, or adds a signature to a proposal that was simulated.
verify   says whether a node with these operators would take a commit now.
submit   hands a commit to a running node and tells what became of it.

An event or a proposal is a file of JSON, or JSON itself: '{"type":"cordon","node":"00000000000000a1"}'

  --socket <path>     where a node listens for its operators
  --snapshot <file>   a snapshot of a node, instead of asking one
  --key <file>        the key of an operator
  --operators <file>  whom a node trusts
  --out <file>        where the commit is written; a proposal that is signed is written back by default
  --help              show this text

Exit codes:
  0  done; the commit was, or would be, accepted
  1  the commit was, or would be, rejected
  2  the command line or a file is wrong, or no node answers; nothing was done
`

const text = { type: 'string' } as const
const options = {
  socket: text,
  snapshot: text,
  key: text,
  operators: text,
  out: text,
  help: { type: 'boolean', short: 'h' },
} as const

type Verb = AdminCommand['verb']
type Option = Exclude<keyof typeof options, 'help'>
type Values = { readonly [Name in Option]?: string | undefined }

const optionsOf: Readonly<Record<Verb, readonly Option[]>> = {
  keygen: [],
  simulate: ['socket', 'snapshot', 'out'],
  sign: ['key', 'out'],
  verify: ['operators', 'socket', 'snapshot'],
  submit: ['socket'],
}
const verbs = Object.keys(optionsOf) as readonly Verb[]

const targetOf: Readonly<Record<Verb, string>> = {
  keygen: 'key file',
  simulate: 'proposal',
  sign: 'event or commit file',
  verify: 'commit file',
  submit: 'commit file',
}

const withArticle = (noun: string): string => `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`

/** Parses the arguments after `stateward admin`; `undefined` if they ask for help. Raises `bad_usage`. */
export function parseAdminCommand(args: readonly string[]): AdminCommand | undefined {
  const { values, positionals } = parse(args)
  const { help, ...given } = values
  if (help) return undefined
  const [word, ...targets] = positionals
  const verb = verbOf(word)
  const refuse = (reason: string): never => {
    throw new UsageError(`admin ${verb} ${reason}`, adminHelp)
  }
  for (const [option, value] of Object.entries(given) as [Option, string][]) {
    if (!optionsOf[verb].includes(option)) refuse(`takes no --${option}`)
    if (value === '') refuse(`needs something behind --${option}`)
  }
  const [target, more] = targets
  if (target === undefined || target === '') return refuse(`needs ${withArticle(targetOf[verb])}`)
  if (more !== undefined) refuse(`takes one ${targetOf[verb]}, but got ${JSON.stringify(more)} too`)
  return commandOf(verb, target, given, refuse)
}

function commandOf(verb: Verb, target: string, given: Values, refuse: (reason: string) => never): AdminCommand {
  const needed = (option: Option): string => given[option] ?? refuse(`needs --${option}`)
  const out = given.out === undefined ? {} : { out: given.out }
  switch (verb) {
    case 'keygen':
      return { verb, keyFile: target }
    case 'simulate': {
      const source = snapshotSource(given, refuse)
      return { verb, proposal: target, ...out, ...(source ?? refuse('needs --socket or --snapshot')) }
    }
    case 'sign':
      return { verb, subject: target, keyFile: needed('key'), ...out }
    case 'verify':
      return { verb, commitFile: target, operatorsFile: needed('operators'), ...snapshotSource(given, refuse) }
    case 'submit':
      return { verb, commitFile: target, socket: needed('socket') }
  }
}

function snapshotSource({ socket, snapshot }: Values, refuse: (reason: string) => never): SnapshotSource | undefined {
  if (socket !== undefined && snapshot !== undefined) refuse('takes --socket or --snapshot, not both')
  if (socket !== undefined) return { socket }
  return snapshot === undefined ? undefined : { snapshotFile: snapshot }
}

const adminHelp = 'stateward admin --help'

function verbOf(word: string | undefined): Verb {
  if (word === undefined) throw new UsageError('admin needs a command', adminHelp)
  const verb = verbs.find((known) => known === word)
  if (verb !== undefined) return verb
  const meant = nearest(word, verbs)
  const question = meant === undefined ? '' : `, did you mean ${meant}?`
  throw new UsageError(`unknown command admin ${JSON.stringify(word)}${question}`, adminHelp)
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options })
  } catch (cause) {
    throw new UsageError(messageOf(cause), adminHelp, { cause })
  }
}
