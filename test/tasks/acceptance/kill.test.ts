import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createDirectoryJournal } from '../../../src/journal/directory-journal.js'
import { createRuntime } from '../../../src/runtime.js'
import { isTerminalRunState, type TaskEvent, type TaskId, type TaskProjection } from '../../../src/tasks/index.js'
import { compileChild, type CompiledChild } from '../../journal/support/compiled-child.js'
import { isLong, timeout } from '../../journal/support/long.js'
import { TaskLogOracle } from './support/task-log-oracle.js'

/** Kills per directory, each of which finds what the ones before it left; two directories at once. */
const kills = isLong ? 300 : 15

const directories: string[] = []
let service: CompiledChild

beforeAll(async () => {
  service = await compileChild('killed-service', 'test/tasks/acceptance/support')
}, 60_000)

afterAll(async () => {
  await service.remove()
  for (const directory of directories) await rm(directory, { recursive: true })
})

/** What a handler wrote down. */
interface Note {
  readonly what: 'begin' | 'reserving' | 'refused' | 'settled' | 'superseded' | 'end'
  readonly runId: string
  readonly attemptId: string
  readonly fencingToken?: number
  readonly wave?: number
  readonly amount?: number
  readonly used?: number
}

interface Place {
  readonly journal: string
  readonly notes: string
  /** 0: no snapshots, so that the log is whole. */
  readonly compactAfter: number
}

interface Life {
  readonly seed: number
  readonly waves: number
  readonly isMortal: boolean
}

/** Starts a service and kills it once it has said enough, unless it kills itself or is done; says whether it is. */
async function liveOnce({ journal, notes, compactAfter }: Place, { seed, waves, isMortal }: Life): Promise<boolean> {
  const child = service.start(journal, notes, String(seed), String(waves), isMortal ? '1' : '0', String(compactAfter))
  const patience = isMortal ? (seed % 10 === 0 ? 0 : 1 + ((seed * 7919) % 90)) : Number.POSITIVE_INFINITY
  let said = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    if (said.split('\n').length > patience) child.kill('SIGKILL')
  })
  if (patience === 0) child.kill('SIGKILL')
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  expect(
    said.split('\n').filter((line) => line.startsWith('broken')),
    `seed ${seed}`,
  ).toEqual([])
  if (signal === 'SIGKILL') return false
  expect(code, `seed ${seed}`).toBe(0)
  expect(said, `seed ${seed}`).toContain('done\n')
  return true
}

async function notesIn(file: string): Promise<readonly Note[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Note)
}

/** Stored names in camelCase, for an oracle that shares no code with the room. */
function inTheSpellingOfTheCode(stored: unknown): unknown {
  if (Array.isArray(stored)) return stored.map(inTheSpellingOfTheCode)
  if (typeof stored !== 'object' || stored === null) return stored
  const named = Object.entries(stored).map(([key, value]) => [
    key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    inTheSpellingOfTheCode(value),
  ])
  return Object.fromEntries(named)
}

/** Reads the whole log and says what it should not hold. */
async function judgeLog({ journal }: Place): Promise<TaskLogOracle> {
  const oracle = new TaskLogOracle()
  const opened = await createDirectoryJournal({ directory: journal, segmentBytes: 64 * 1024 }).open()
  for (const { record } of opened.recovery.records) {
    const [stream, stored] = record as unknown as readonly [string, object]
    if (stream === 'tasks') oracle.take(inTheSpellingOfTheCode(stored) as TaskEvent)
  }
  await opened.journal.close()
  return oracle
}

/** Compares what handlers noted with what the room remembers, and says what does not fit. */
function problemsOf(projection: TaskProjection, notes: readonly Note[]): readonly string[] {
  const problems: string[] = []
  const check = (isRight: boolean, problem: string): void => void (isRight || problems.push(problem))
  const runs = new Map(
    [...projection.tasks()].flatMap(({ spec }) => projection.runsOf(spec.id)).map((run) => [run.id as string, run]),
  )
  const highestToken = new Map<string, number>()
  const begun = new Set<string>()
  const ended = new Set<string>()
  for (const { what, runId, attemptId, fencingToken = 0 } of notes) {
    const run = runs.get(runId)
    const outcome = run?.attempts.find((attempt) => attempt.attemptId === attemptId)
    check(outcome !== undefined, `attempt ${attemptId} worked and is not remembered`)
    if (what === 'begin') {
      check(!begun.has(attemptId), `attempt ${attemptId} began twice`)
      check(fencingToken > (highestToken.get(runId) ?? 0), `token ${fencingToken} of ${attemptId} came too late`)
      begun.add(attemptId)
      highestToken.set(runId, fencingToken)
    }
    if (what === 'end') ended.add(attemptId)
    if (what === 'superseded') {
      const end = outcome?.outcome
      const isTakenOver = end?.result === 'failure' && end.error === 'taken over'
      check(isTakenOver, `superseded attempt ${attemptId} ended as ${end?.result}`)
    }
  }
  for (const { id, taskId, attempts, history, state } of runs.values()) {
    const counted = attempts.filter(
      ({ outcome }) => outcome?.result !== 'suspended' && outcome?.result !== 'lost',
    ).length
    const cap = projection.task(taskId)?.spec.constraints.maxAttempts ?? 0
    check(counted <= cap, `run ${id} has ${counted} attempts, cap ${cap}`)
    const ends = history.filter(({ to }) => isTerminalRunState(to))
    check(ends.length === (isTerminalRunState(state) ? 1 : 0), `run ${id} has ended ${ends.length} times`)
    for (const { attemptId, outcome } of attempts) {
      const isQuick = projection.task(taskId)?.spec.kind === 'quick'
      check(outcome?.result !== 'success' || isQuick || ended.has(attemptId), `${attemptId} succeeded without an end`)
    }
  }
  return problems
}

/** Checks to the unit that a tree's budget bears what its handlers spent, and that its parts add up. */
function checkBudgets(projection: TaskProjection, notes: readonly Note[], waves: number): void {
  for (let wave = 1; wave <= waves; wave += 1) {
    const root = `${wave.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000` as TaskId
    const consumedBy = (taskId: TaskId): number => [...projection.budgetsOf(taskId)][0]?.consumed ?? 0
    const spent = consumedBy(root)
    const parts = [...projection.children(root)].map(consumedBy)
    expect(
      parts.reduce((sum, part) => sum + part, 0),
      `wave ${wave}`,
    ).toBe(spent)
    const mine = notes.filter((note) => note.wave === wave)
    const sum = (what: Note['what'], field: 'amount' | 'used'): number =>
      mine.filter((note) => note.what === what).reduce((total, note) => total + (note[field] ?? 0), 0)
    const acknowledged = sum('settled', 'used')
    // What a kill cut off between reserving and its receipt counts in full, as something else, or not at all.
    const cutOff = sum('reserving', 'amount') - sum('settled', 'amount') - sum('refused', 'amount')
    expect(spent, `wave ${wave}`).toBeGreaterThanOrEqual(acknowledged)
    expect(spent, `wave ${wave}`).toBeLessThanOrEqual(acknowledged + cutOff)
  }
}

async function killRepeatedly(lane: number): Promise<{ killed: number; superseded: number; runs: number }> {
  const home = await mkdtemp(join(tmpdir(), 'stateward-tasks-'))
  directories.push(home)
  const compactAfter = lane % 2 === 0 ? 0 : 150
  const place = { journal: join(home, 'journal'), notes: join(home, 'notes'), compactAfter }
  const endedAs = new Map<string, string>()
  let waves = 1
  let killed = 0
  for (let life = 1, isDone = false; !isDone; life += 1) {
    const seed = lane * 100_003 + life
    const isMortal = killed < kills
    const isWaveDone = await liveOnce(place, { seed, waves, isMortal })
    isDone = isWaveDone && !isMortal
    const oracle = compactAfter === 0 ? await judgeLog(place) : undefined
    expect(oracle?.problems ?? [], `seed ${seed}`).toEqual([])
    const runtime = await createRuntime({ dataDir: place.journal })
    const { projection } = runtime.tasks
    const notes = await notesIn(place.notes)
    expect(problemsOf(projection, notes), `seed ${seed}`).toEqual([])
    for (const { spec } of projection.tasks()) {
      for (const { id, state } of projection.runsOf(spec.id)) {
        const before = endedAs.get(id)
        if (before !== undefined) expect(state, `run ${id}, seed ${seed}`).toBe(before)
        if (isTerminalRunState(state)) endedAs.set(id, state)
      }
      for (const { taskId, dimension, limit, consumed, reserved } of projection.budgetsOf(spec.id)) {
        if (oracle !== undefined) expect(oracle.budget(taskId, dimension)).toEqual({ limit, consumed, reserved })
      }
    }
    if (isWaveDone) {
      expect(endedAs.size, `seed ${seed}`).toBe(projection.runCount)
      expect([...projection.reservations()]).toEqual([])
      expect([...projection.leased()]).toEqual([])
      checkBudgets(projection, notes, waves)
      if (!isDone) waves += 1
    } else {
      killed += 1
    }
    await runtime.close()
  }
  const superseded = (await notesIn(place.notes)).filter(({ what }) => what === 'superseded').length
  return { killed, superseded, runs: endedAs.size }
}

it(
  '[T-171] [kill] killed at any moment and restarted until done, every run ends once, within its cap, and budgets balance',
  async () => {
    const results = await Promise.all([1, 2].map((lane) => killRepeatedly(lane)))
    for (const { killed, superseded, runs } of results) {
      expect(killed).toBe(kills)
      // Proof that the services got somewhere and that workers were superseded on the way.
      expect(runs).toBeGreaterThan(9)
      expect(superseded).toBeGreaterThan(0)
    }
  },
  timeout,
)
