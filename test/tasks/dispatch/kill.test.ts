import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createDirectoryJournal } from '../../../src/journal/directory-journal.js'
import { TaskAuthority, terminalRunStates, type TaskEvent } from '../../../src/tasks/index.js'
import { Lane } from '../../../src/lane/lane.js'
import { compileChild, type CompiledChild } from '../../journal/support/compiled-child.js'
import { isLong, timeout } from '../../journal/support/long.js'

/** Kills per directory, each of which finds what the ones before it left, and directories at once. */
const kills = isLong ? 500 : 15
const lanes = 2

const directories: string[] = []
let service: CompiledChild

beforeAll(async () => {
  service = await compileChild('task-service', 'test/tasks/dispatch/support')
}, 60_000)

afterAll(async () => {
  await service.remove()
  for (const directory of directories) await rm(directory, { recursive: true })
})

/** Everything services have said in a directory so far. */
class Witness {
  /** Attempts in the order they began, by run. */
  readonly begun = new Map<string, { readonly attemptId: string; readonly token: number }[]>()
  /** What was acknowledged as spent, by run. */
  readonly settled = new Map<string, number[]>()
  readonly outcomes = new Map<string, string>()
  isDone = false

  hear(line: string): void {
    const [what, id = '', first = '', second = ''] = line.split(' ')
    if (what === 'begin') push(this.begun, id, { attemptId: first, token: Number(second) })
    if (what === 'settled') push(this.settled, id, Number(first))
    if (what === 'outcome') this.outcomes.set(id, first)
    if (what === 'done') this.isDone = true
  }
}

function push<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  map.set(key, [...(map.get(key) ?? []), value])
}

/** Starts the service and kills it once it has said so many lines; never if it may finish. */
async function run(directory: string, witness: Witness, patience: number): Promise<void> {
  const child = service.start(directory, patience === Number.POSITIVE_INFINITY ? 'finish' : 'work')
  let said = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    if (said.split('\n').length > patience) child.kill('SIGKILL')
  })
  if (patience === 0) child.kill('SIGKILL')
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  // The last line may have been cut short.
  for (const line of said.split('\n').slice(0, -1)) witness.hear(line)
  if (signal !== 'SIGKILL' && code !== 0) throw new Error(`the service ended by itself with ${code}`)
}

/** What the journal says, folded without the code under test. */
async function eventsIn(directory: string): Promise<TaskEvent[]> {
  const { journal, recovery } = await createDirectoryJournal({ directory }).open()
  const records = [...recovery.records].map(({ record }) => record as unknown as readonly [string, TaskEvent])
  await journal.close()
  return records.filter(([stream]) => stream === 'tasks').map(([, event]) => event)
}

interface Ledger {
  limit: number
  consumed: number
}

/** Folds money by hand: every reservation is closed once, and what was settled is what was consumed. */
function balance(events: readonly TaskEvent[]): { readonly ledgers: Map<string, Ledger>; readonly open: number } {
  const parents = new Map<string, string | undefined>()
  const ledgers = new Map<string, Ledger>()
  const reservations = new Map<string, { readonly taskId: string; readonly amount: number }>()
  const charge = (taskId: string, amount: number): void => {
    for (let next: string | undefined = taskId; next !== undefined; next = parents.get(next)) {
      const ledger = ledgers.get(next)
      if (ledger !== undefined) ledger.consumed += amount
    }
  }
  for (const event of events) {
    switch (event.type) {
      case 'task_created':
        parents.set(event.taskSpec.id, event.taskSpec.parentTaskId)
        break
      case 'budget_allocated':
        ledgers.set(event.taskId, { limit: event.limit, consumed: 0 })
        break
      case 'budget_replenished':
        ;(ledgers.get(event.taskId) as Ledger).limit = event.newLimit
        break
      case 'budget_reserved':
        reservations.set(event.reservationId, { taskId: event.taskId, amount: event.amount })
        break
      case 'budget_settled':
        charge(reservations.get(event.reservationId)?.taskId as string, event.amount)
        reservations.delete(event.reservationId)
        break
      case 'budget_released':
        expect(reservations.delete(event.reservationId)).toBe(true)
        break
      case 'budget_consumed':
        charge(event.taskId, event.amount)
        break
      default:
        break
    }
  }
  return { ledgers, open: reservations.size }
}

function settledBy(events: readonly TaskEvent[]): Map<string, number[]> {
  const runs = new Map<string, string>()
  const settled = new Map<string, number[]>()
  for (const event of events) {
    if (event.type === 'budget_reserved') runs.set(event.reservationId, event.runId ?? '')
    if (event.type === 'budget_settled') push(settled, runs.get(event.reservationId) as string, event.amount)
  }
  return settled
}

async function examine(directory: string, witness: Witness): Promise<void> {
  const events = await eventsIn(directory)
  const terminal = new Map<string, number>()
  const started = new Map<string, number>()
  const created = new Set<string>()
  for (const event of events) {
    if (event.type === 'run_created') created.add(event.runInstance.id)
    if (event.type === 'attempt_started') started.set(event.runId, (started.get(event.runId) ?? 0) + 1)
    if (event.type === 'run_state_changed' && (terminalRunStates as readonly string[]).includes(event.newState)) {
      terminal.set(event.runId, (terminal.get(event.runId) ?? 0) + 1)
    }
  }
  expect([...terminal.values()].every((times) => times === 1)).toBe(true)
  expect(terminal.size).toBe(created.size)

  const authority = new TaskAuthority()
  const lane = await Lane.open({
    store: createDirectoryJournal({ directory }),
    streamFor: (name) => (name === 'tasks' ? authority : undefined),
  })
  authority.start(lane)
  const { projection } = authority
  for (const runId of created) {
    const record = projection.run(runId as never)
    const counted = record?.attempts.filter(({ outcome }) => outcome?.result !== 'suspended') ?? []
    expect(counted.length, `attempts of ${runId}`).toBeLessThanOrEqual(4)
    const tokens = (witness.begun.get(runId) ?? []).map(({ token }) => token)
    expect(tokens, `tokens of ${runId}`).toEqual(tokens.toSorted((one, other) => one - other))
    expect(new Set(tokens).size).toBe(tokens.length)
    // Only the attempt under the latest lease may have completed the run.
    const success = record?.attempts.find(({ outcome }) => outcome?.result === 'success')?.attemptId
    if (success !== undefined) expect(record?.attempts.at(-1)?.attemptId).toBe(success)
    if (success !== undefined && tokens.length > 0) expect(witness.begun.get(runId)?.at(-1)?.attemptId).toBe(success)
  }
  for (const [taskId, status] of witness.outcomes) {
    const states = projection.runsOf(taskId as never).map(({ state }) => state)
    expect(states, `outcome of ${taskId}`).toEqual([status])
  }

  const { ledgers, open } = balance(events)
  expect(open).toBe(0)
  expect([...projection.reservations()]).toEqual([])
  for (const [taskId, { limit, consumed }] of ledgers) {
    expect(projection.budget(taskId as never, 'token' as never)).toMatchObject({ limit, consumed, reserved: 0 })
  }
  const durable = settledBy(events)
  for (const [runId, amounts] of witness.settled) {
    const left = [...(durable.get(runId) ?? [])]
    for (const amount of amounts) {
      expect(left, `run ${runId} was told that ${amount} is settled`).toContain(amount)
      left.splice(left.indexOf(amount), 1)
    }
  }
  await lane.close()
}

async function killRepeatedly(lane: number): Promise<Witness> {
  const directory = await mkdtemp(join(tmpdir(), 'stateward-tasks-kill-'))
  directories.push(directory)
  const witness = new Witness()
  for (let kill = 0; kill < kills; kill += 1) {
    const patience = kill % 9 === 8 ? 0 : 1 + ((kill * 7919 + lane * 31) % 23)
    await run(directory, witness, patience)
  }
  await run(directory, witness, Number.POSITIVE_INFINITY)
  await examine(directory, witness)
  return witness
}

it('[T-99] [T-101] a service killed at any moment ends every run once, within its attempts and its budget', {
  timeout,
}, async () => {
  const witnesses = await Promise.all(Array.from({ length: lanes }, (_, lane) => killRepeatedly(lane)))
  for (const { isDone, begun, settled, outcomes } of witnesses) {
    expect(isDone).toBe(true)
    // Otherwise the kills came too early, or too late, to prove anything.
    expect([...begun.values()].filter((attempts) => attempts.length > 1).length).toBeGreaterThan(kills / 4)
    expect(settled.size).toBeGreaterThan(kills / 4)
    expect(outcomes.size).toBeGreaterThan(3)
  }
})
