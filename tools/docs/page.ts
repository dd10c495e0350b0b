import type { AnyStateMachine, AnyStateNode } from 'xstate'
import { diagramOf } from './diagram.js'
import { type Edge, edgesOf, stateName, statesOf } from './edges.js'
import { actionName } from '../../machines/chart-names.js'

/** The Markdown page of one chart: the diagram, every state, every transition. */
export function pageOf(machine: AnyStateMachine): string {
  const description = machine.config.description ?? machine.root.description
  const sections = [
    `# ${machine.id}`,
    '<!-- Written by `npm run docs` from the machine itself: change the chart, not this page. -->',
    ...(description === undefined ? [] : [description]),
    ['```mermaid', diagramOf(machine), '```'].join('\n'),
    '## States',
    tableOf(['State', 'Kind', 'Entry', 'Exit', 'Invokes', 'Description'], statesOf(machine).map(stateRow)),
    '## Transitions',
    'Transitions for the same event are tried from top to bottom; what is not listed is not possible.',
    tableOf(['State', 'Event', 'Guard', 'Target', 'Actions', 'Notes'], edgesOf(machine).map(edgeRow)),
  ]
  return `${sections.join('\n\n')}\n`
}

function stateRow(node: AnyStateNode): string[] {
  return [
    code(stateName(node)),
    [node.type === 'history' ? `${String(node.history)} history` : node.type, ...node.tags.map(code)].join(', '),
    ownActions(node.config.entry),
    ownActions(node.config.exit),
    codes(node.invoke.map(({ src, id }) => (typeof src === 'string' ? src : id))),
    notesOf(node.description, (node.meta ?? {}) as Record<string, unknown>),
  ]
}

/** The actions the chart states; `node.entry` would also hold those that XState adds for `after`. */
function ownActions(configured: unknown): string {
  return codes([configured ?? []].flat().map(actionName))
}

function edgeRow({ source, event, guard, targets, actions, reenters, description, meta }: Edge): string[] {
  const target = targets.map((node) => code(stateName(node))).join(', ')
  return [
    code(stateName(source)),
    code(event),
    guard === undefined ? '' : code(guard),
    reenters ? `${target} (re-entered)` : target,
    codes(actions),
    notesOf(description, meta),
  ]
}

/** The description, then each entry of the meta, for instance `refusal: not_running`. */
function notesOf(description: string | undefined, meta: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(meta).map(([key, value]) => `${key}: ${codeValue(value)}`)
  return [...(description === undefined ? [] : [description]), ...entries].join(' · ')
}

function codeValue(value: unknown): string {
  return code(typeof value === 'string' ? value : JSON.stringify(value))
}

/** A Markdown table without the columns that are empty throughout. */
function tableOf(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const kept = titles.map((_, column) => rows.some((row) => row[column] !== ''))
  const line = (cells: readonly string[]): string => `| ${cells.filter((_, column) => kept[column]).join(' | ')} |`
  return [line(titles), line(titles.map(() => '---')), ...rows.map(line)].join('\n')
}

function codes(names: readonly string[]): string {
  return names.map(code).join(', ')
}

function code(text: string): string {
  return `\`${text.replaceAll('|', '\\|').replaceAll('\n', ' ')}\``
}
