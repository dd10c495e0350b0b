import { sessionOfStream } from '../../operations/history.js'
import type { ItemRef } from './protocol.js'

/** The maximum number of items listed for one event. */
const mostItems = 20

/** Fields that name an item, with its type; in the spelling of the code and of the journal. */
const itemFields: readonly (readonly [string, ItemRef['type']])[] = [
  ['runId', 'run'],
  ['run_id', 'run'],
  ['taskId', 'task'],
  ['task_id', 'task'],
  ['processId', 'process'],
  ['process_id', 'process'],
]

/** The items that an event of the tasks room, or a record of the journal, is about; the first is its subject. */
export function itemsOfEvent(stream: string, event: object): readonly ItemRef[] {
  const session = sessionOfStream(stream)
  const fields = event as Readonly<Record<string, unknown>>
  if (session !== undefined) {
    const ids = [fields['id'], idIn(fields['spec']), ...listIn(fields['ids']).slice(0, mostItems)]
    return ids.flatMap((id) => (typeof id === 'string' ? { type: 'operation' as const, id, session } : []))
  }
  const items: ItemRef[] = []
  collect(fields, items)
  const taskId = idIn(fields['taskSpec'] ?? fields['task_spec'])
  if (taskId !== undefined) items.push({ type: 'task', id: taskId })
  const run = fields['runInstance'] ?? fields['run_instance']
  const runs = [run, ...listIn(fields['runs']).slice(0, mostItems)]
  for (const one of runs) {
    const id = idIn(one)
    if (id !== undefined) items.push({ type: 'run', id })
  }
  if (typeof run === 'object' && run !== null) collect(run as Readonly<Record<string, unknown>>, items)
  return items.slice(0, mostItems)
}

function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function collect(fields: Readonly<Record<string, unknown>>, items: ItemRef[]): void {
  for (const [field, type] of itemFields) {
    const id = fields[field]
    if (typeof id === 'string') items.push({ type, id })
  }
}

function idIn(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { id } = value as { readonly id?: unknown }
  return typeof id === 'string' ? id : undefined
}
