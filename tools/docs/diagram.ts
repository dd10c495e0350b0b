import type { AnyStateMachine, AnyStateNode } from 'xstate'
import { childrenOf, type Edge, edgesOf } from './edges.js'

/** The chart as a Mermaid `stateDiagram-v2`; the same machine always gives the same text. */
export function diagramOf(machine: AnyStateMachine): string {
  const edges = edgesOf(machine)
  // Mermaid separates regions only inside a state, so a parallel chart is drawn as one.
  const states = machine.root.type === 'parallel' ? compound(machine.root, edges) : regionOf(machine.root, edges)
  return ['stateDiagram-v2', ...indent([...states, ...arrowsOf(machine, edges)])].join('\n')
}

/** The states directly inside `parent`, each with what happens in it. */
function regionOf(parent: AnyStateNode, edges: readonly Edge[]): string[] {
  const states = childrenOf(parent)
  const begin = parent.type === 'compound' ? parent.initial.target.map((node) => `[*] --> ${nameOf(node)}`) : []
  const blocks = states.map((node) => (childrenOf(node).length > 0 ? compound(node, edges) : atomic(node, edges)))
  if (parent.type === 'parallel') return blocks.flatMap((block, index) => (index === 0 ? block : ['--', ...block]))
  return [...begin, ...blocks.flat()]
}

function compound(node: AnyStateNode, edges: readonly Edge[]): string[] {
  return [`state "${node.key}" as ${nameOf(node)} {`, ...indent(regionOf(node, edges)), '}']
}

/** A box with the transitions that stay inside it as extra lines. */
function atomic(node: AnyStateNode, edges: readonly Edge[]): string[] {
  const title = node.type === 'history' ? `${node.key} (${String(node.history)} history)` : node.key
  const inside = edges.filter((edge) => edge.source === node && edge.targets.length === 0)
  const end = node.type === 'final' ? [`${nameOf(node)} --> [*]`] : []
  return [`state "${title}" as ${nameOf(node)}`, ...inside.map((edge) => `${nameOf(node)} : ${labelOf(edge)}`), ...end]
}

/** One arrow per pair of states; the events that share it stand on lines of their own. */
function arrowsOf(machine: AnyStateMachine, edges: readonly Edge[]): string[] {
  const labels = new Map<string, string[]>()
  // A transition of the root can happen in every state that does not take the event itself.
  const sourcesOf = ({ source, event }: Edge): AnyStateNode[] =>
    source === machine.root ? childrenOf(source).filter((child) => !takes(child, event, edges)) : [source]
  for (const edge of edges) {
    for (const source of sourcesOf(edge)) {
      for (const target of edge.targets) {
        const arrow = `${nameOf(source)} --> ${nameOf(target)}`
        labels.set(arrow, [...(labels.get(arrow) ?? []), labelOf(edge)])
      }
    }
  }
  return Array.from(labels, ([arrow, events]) => `${arrow} : ${events.join('<br/>')}`)
}

/** Whether the event never gets past this state. */
function takes(state: AnyStateNode, event: string, edges: readonly Edge[]): boolean {
  if (state.type === 'final' || state.type === 'history') return true
  return edges.some(
    (edge) => edge.source === state && edge.guard === undefined && (edge.event === event || edge.event === '*'),
  )
}

/** `event [guard]`, without the characters that end a Mermaid label. */
function labelOf({ event, guard }: Edge): string {
  return `${event}${guard === undefined ? '' : ` [${guard}]`}`.replaceAll(/[:;{}]/g, '')
}

/** A name Mermaid takes: letters, digits and underscores, unique within the chart. */
function nameOf(node: AnyStateNode): string {
  const path = node.path.length === 0 ? [node.id] : node.path
  return path.map((key) => key.replaceAll(/[^A-Za-z0-9]/g, '_')).join('__')
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}
