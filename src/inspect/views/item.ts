import type { StateValue } from 'xstate'
import { processMachine } from '../../../machines/process.js'
import { runMachine } from '../../../machines/run.js'
import type { JsonObject } from '../../base/json.js'
import { pendingQuestions, type RunId, type TaskId } from '../../tasks/index.js'
import { isTerminalRunState, statesOf } from '../../tasks/run.js'
import type { ProcessId, ProcessRecord } from '../../processes/index.js'
import { innermostStates } from '../stream/chart-graph.js'
import type { ActionName, ItemRef, ItemRow, ItemView } from '../stream/protocol.js'
import { operationRow, operationRowOf, processRow, runRow, taskRow, unfinishedRow } from './item-rows.js'
import { sessionOf, type InspectedState } from './state.js'

/** The maximum number of children shown. */
const mostChildren = 100

const none: Pick<ItemView, 'view' | 'row' | 'details' | 'children' | 'childCount' | 'actions'> = {
  view: 'item',
  row: null,
  details: {},
  children: [],
  childCount: 0,
  actions: [],
}

/** One item, with related items. */
export async function itemView(state: InspectedState, item: ItemRef): Promise<ItemView> {
  switch (item.type) {
    case 'operation':
      return operationView(state, item)
    case 'task':
      return taskView(state, item.id as TaskId)
    case 'run':
      return runView(state, item.id as RunId)
    case 'process':
      return processView(state, item.id)
    default:
      return none
  }
}

const shownElsewhere: ReadonlySet<string> = new Set(['id', 'displayName', 'kind', 'status'])

function operationView(state: InspectedState, { id, session: name }: ItemRef): ItemView {
  const session = sessionOf(state, name)
  const snapshot = session?.operations.snapshot(id as Parameters<typeof session.operations.snapshot>[0])
  if (session === undefined) return none
  if (snapshot === undefined) {
    const lost = session.lost.find((one) => one.id === id)
    if (lost !== undefined) return { ...none, row: unfinishedRow(session.id, lost, state.isOwned) }
    const row = operationRowOf(session, id, state.shown)
    return { ...none, row: row ?? null }
  }
  const children = session.view.rows().filter((row) => session.operations.snapshot(row.id)?.parentId === id)
  const isLive = !snapshot.terminal
  return {
    ...none,
    row: operationRowOf(session, id, state.shown) ?? null,
    details: state.shown.fields(snapshot, shownElsewhere),
    chart: { machine: 'operation', states: [`operation.${snapshot.status}`] },
    children: children.slice(0, mostChildren).map((row) => operationRow(session.id, row, state.shown)),
    childCount: children.length,
    actions: isLive ? ['cancel', 'terminate'] : [],
  }
}

function taskView(state: InspectedState, id: TaskId): ItemView {
  const { tasks, shown } = state
  const task = tasks.task(id)
  if (task === undefined) return none
  const runs = tasks.runsOf(id)
  const below: ItemRow[] = []
  let childCount = runs.length
  for (const run of runs.slice(-mostChildren)) below.push(runRow(tasks, run, shown))
  for (const child of tasks.children(id)) {
    childCount += 1
    const found = below.length < mostChildren ? tasks.task(child) : undefined
    if (found !== undefined) below.push(taskRow(tasks, found, shown))
  }
  const row = taskRow(tasks, task, shown)
  const { payload, ...spec } = task.spec
  const details: JsonObject = {
    ...shown.fields({ ...spec, payload: payload.contentType ?? 'bytes' }, new Set(['id', 'kind'])),
    progress: shown.fields(task.progress, new Set()),
    prerequisites: [...tasks.prerequisites(id)],
    dependents: [...tasks.dependents(id)].slice(0, mostChildren),
    gate: tasks.dependencyGate(id),
  }
  const last = runs.at(-1)
  return {
    view: 'item',
    row,
    details,
    ...(last !== undefined && { chart: chartOfRun(last) }),
    children: below,
    childCount,
    actions: taskActions(state, id, row),
  }
}

function taskActions({ tasks }: InspectedState, taskId: TaskId, { phase }: ItemRow): readonly ActionName[] {
  if (phase === 'failed') return tasks.retryOf(taskId) === undefined ? ['retry'] : []
  if (phase === 'completed' || phase === 'cancelled') return []
  return pendingQuestions(tasks, { taskId }).length > 0 ? ['cancel', 'answer'] : ['cancel']
}

function runView(state: InspectedState, id: RunId): ItemView {
  const { tasks, shown } = state
  const run = tasks.run(id)
  if (run === undefined) return none
  const { history, attempts, lease, ...rest } = run
  const details: JsonObject = {
    ...shown.fields(rest, new Set(['id', 'state'])),
    ...shown.fields({ history, attempts, ...(lease !== undefined && { lease }) }, new Set()),
    steps: Array.from(tasks.stepsOf(id), ({ key }) => key).slice(-mostChildren),
    waits: Array.from(tasks.waitsOf(id), (wait) => shown.fields(wait, new Set(['runId']))).slice(-mostChildren),
    reservations: Array.from(tasks.reservationsOf(id), (row) => shown.fields(row, new Set())).slice(-mostChildren),
  }
  const task = tasks.task(run.taskId)
  return {
    ...none,
    row: runRow(tasks, run, shown),
    details,
    chart: chartOfRun(run),
    children: task === undefined ? [] : [taskRow(tasks, task, shown)],
    childCount: task === undefined ? 0 : 1,
    actions: isTerminalRunState(run.state) ? [] : ['cancel'],
  }
}

/** The states of a run in its chart, as {@link statesOf} gives them. */
function chartOfRun(run: Parameters<typeof statesOf>[0]): NonNullable<ItemView['chart']> {
  return { machine: runMachine.id, states: innermostStates(runMachine, statesOf(run)) }
}

async function processView(state: InspectedState, id: ProcessId): Promise<ItemView> {
  const record = await state.processes.getProcess(id)
  if (record === undefined) return none
  const { input, ...rest } = record
  const isRunning = record.status === 'running'
  return {
    ...none,
    row: processRow(record, state.shown),
    details: state.shown.fields({ ...rest, input: input.type }, new Set(['id', 'status', 'eventTypes'])),
    chart: { machine: processMachine.id, states: innermostStates(processMachine, statesOfProcess(record)) },
    actions: isRunning ? ['cancel', 'terminate'] : [],
  }
}

function statesOfProcess({ status, wait, firstStarted }: ProcessRecord): StateValue {
  const running = { running: wait === undefined ? 'active' : 'waiting' }
  return { lifecycle: status === 'running' ? running : status, execution: firstStarted ? 'started' : 'unstarted' }
}
