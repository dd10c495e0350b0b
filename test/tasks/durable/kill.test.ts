import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRuntime } from '../../../src/runtime.js'
import { budgetDimension, type TaskId, type Tasks } from '../../../src/tasks/index.js'
import { isLong, timeout } from '../../journal/support/long.js'
import { MortalService } from '../../support/mortal-service.js'

const kills = isLong ? 500 : 40

let service: MortalService<Note>

beforeAll(async () => {
  service = await MortalService.compile('killed-steps', 'test/tasks/durable/support')
}, 60_000)

afterAll(() => service.remove())

interface Note {
  readonly what: 'submitted' | 'do' | 'done' | 'answered' | 'ended' | 'archived' | 'forgotten'
  readonly taskId: TaskId
  /** Of a step, a question or a submission; how what has ended did; the kind of what is archived. */
  readonly key: string
  readonly value?: unknown
}

/** What the archive was given. */
interface Archived {
  readonly isWhole: boolean
  readonly spent: readonly (readonly [consumed: number, reserved: number])[]
  /** JSON texts. */
  readonly answers: readonly string[]
  readonly open: number
  readonly completed: number
}

/** What a flow and those that it calls spend. */
const cost = 3 * 7 + 3 * 5

/** What must not be in the notes: a step done again that was durable, another result for it, work after the end. */
function problemsInOrder(notes: readonly Note[]): readonly string[] {
  const problems: string[] = []
  const done = new Map<string, unknown>()
  const over = new Set<TaskId>()
  const answered = new Set<TaskId>()
  for (const { what, taskId, key, value } of notes) {
    const id = `${taskId} ${key}`
    if (what === 'answered') {
      if (answered.has(taskId)) problems.push(`${id} was answered twice`)
      answered.add(taskId)
    } else if (what === 'do') {
      if (done.has(id)) problems.push(`${id} was done again`)
      if (over.has(taskId)) problems.push(`${id} was done after the end`)
    } else if (what === 'done') {
      if (done.has(id) && done.get(id) !== value) problems.push(`${id} has another result`)
      done.set(id, value)
    } else if (what === 'ended' || what === 'archived') {
      over.add(taskId)
      if (what === 'ended' && key !== 'completed') problems.push(`${taskId} has ${key}`)
    }
  }
  return problems
}

/** What the state must not say, given the notes: something lost, begun anew, spent twice, or forgotten too soon. */
async function problemsOf(tasks: Tasks, notes: readonly Note[]): Promise<readonly string[]> {
  const { projection } = tasks
  const problems = [...problemsInOrder(notes)]
  const ofKind = (what: Note['what']): ReadonlyMap<TaskId, Note> =>
    new Map(notes.filter((note) => note.what === what).map((note) => [note.taskId, note]))
  const [ended, archived, answered] = [ofKind('ended'), ofKind('archived'), ofKind('answered')]
  for (const { taskId, key } of ofKind('submitted').values()) {
    const task = projection.task(taskId)
    const tombstone = projection.tombstone(taskId)
    if ((task === undefined) === (tombstone === undefined)) problems.push(`${taskId} is lost, or there twice`)
    if (task !== undefined && ended.has(taskId) && task.progress.open > 0) problems.push(`${taskId} has come back`)
    if (tombstone === undefined) continue
    if (!archived.has(taskId)) problems.push(`${taskId} was forgotten and not archived`)
    if (tombstone.key !== key || tombstone.status !== 'completed') problems.push(`the tombstone of ${taskId} is wrong`)
    const asked = await tasks.outcome(taskId).catch((error: unknown) => (error as { readonly code?: string }).code)
    if (asked !== 'no_longer_retained') problems.push(`${taskId} was forgotten, and is ${JSON.stringify(asked)}`)
  }
  for (const { taskId } of ofKind('forgotten').values()) {
    if (projection.task(taskId) !== undefined) problems.push(`${taskId} is remembered again`)
  }
  for (const { taskId, key, value } of archived.values()) {
    const { isWhole, spent, answers, open, completed } = value as Archived
    if (!isWhole || open > 0 || completed !== 1) problems.push(`${taskId} was archived before its end`)
    if (key !== 'flow') continue
    if (spent.length !== 1 || spent[0]?.[0] !== cost || spent[0][1] !== 0)
      problems.push(`${taskId} has spent ${JSON.stringify(spent)}`)
    const given = answered.get(taskId)
    if (given !== undefined && answers[0] !== JSON.stringify(given.value)) {
      problems.push(`the answer to ${taskId} was archived as ${answers[0]}`)
    }
  }
  for (const { spec } of projection.tasks()) {
    if (spec.kind !== 'flow') continue
    const given = answered.get(spec.id)
    for (const run of projection.runsOf(spec.id)) {
      const { end } = projection.wait(run.id, 'wait:go') ?? {}
      const kept = end?.type === 'answered' ? end.value : projection.earlyAnswer(spec.id, 'go')?.value
      if (given !== undefined && kept !== JSON.stringify(given.value)) problems.push(`the answer to ${spec.id} is lost`)
    }
    // Forgotten from below: a crash may have come in between.
    if ([...projection.children(spec.id)].length > 3) problems.push(`${spec.id} has called too often`)
    for (const { limit, consumed, reserved } of projection.budgetsOf(spec.id)) {
      if (consumed + reserved > limit || consumed > cost) problems.push(`${spec.id} has spent ${consumed}`)
    }
  }
  return problems
}

it(
  '[T-255] [T-381] [kill] killed at any moment over steps, answers, calls and retention, nothing is lost, done or spent twice, or back',
  async () => {
    let wave = 0
    for (let killed = 0, life = 1; ; life += 1) {
      const isMortal = killed < kills
      const isDone = await service.liveOnce({ seed: life, wave, isMortal })
      if (!isDone) killed += 1
      const runtime = await createRuntime({ dataDir: service.directory })
      const { tasks } = runtime
      const { projection } = tasks
      expect(await problemsOf(tasks, await service.notes()), `life ${life}`).toEqual([])
      if (isDone) {
        for (const { spec, progress } of projection.tasks()) {
          expect(progress, `life ${life}`).toMatchObject({ completed: 1, open: 0 })
          if (spec.kind !== 'flow') continue
          // Exactly what its steps cost, however often they were cut off.
          const budget = projection.budget(spec.id, budgetDimension('token'))
          expect(budget, `life ${life}`).toMatchObject({ consumed: cost, reserved: 0 })
        }
      }
      await runtime.close()
      if (isDone) wave += 1
      if (isDone && !isMortal) break
    }
    // Proof that it got somewhere.
    const notes = await service.notes()
    expect(wave).toBeGreaterThan(0)
    const counts = Object.fromEntries(
      (['answered', 'archived', 'forgotten'] as const).map((what) => [
        what,
        new Set(notes.filter((note) => note.what === what).map(({ taskId }) => taskId)).size,
      ]),
    )
    if (isLong) process.stdout.write(`${kills} kills, ${wave} waves of four flows: ${JSON.stringify(counts)}\n`)
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(0)
  },
  timeout,
)
