import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRuntime } from '../../../src/runtime.js'
import { budgetDimension, type TaskId, type TaskProjection } from '../../../src/tasks/index.js'
import { compileChild, type CompiledChild } from '../../journal/support/compiled-child.js'
import { isLong, timeout } from '../../journal/support/long.js'

const kills = isLong ? 500 : 20

let home: string
let service: CompiledChild

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'stateward-steps-'))
  service = await compileChild('killed-steps', 'test/tasks/durable/support')
}, 60_000)

afterAll(async () => {
  await service.remove()
  await rm(home, { recursive: true })
})

interface Note {
  readonly what: 'do' | 'done' | 'answered'
  readonly taskId: TaskId
  readonly key: string
  readonly value?: unknown
}

async function notesIn(file: string): Promise<readonly Note[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Note)
}

/** Starts the service and kills it once it has noted enough, unless it kills itself or is done; says whether it is. */
async function liveOnce(seed: number, wave: number, isMortal: boolean): Promise<boolean> {
  const child = service.start(
    join(home, 'journal'),
    join(home, 'notes'),
    String(seed),
    isMortal ? '1' : '0',
    String(wave),
  )
  const patience = isMortal ? 1 + ((seed * 7919) % 23) : Number.POSITIVE_INFINITY
  let said = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    if (said.split('\n').length > patience) child.kill('SIGKILL')
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (signal === 'SIGKILL') return false
  expect(code, `seed ${seed}`).toBe(0)
  return said.includes('done\n')
}

/** What must not be: a step done again that was durable, another result for it, an answer that is not the one given. */
function problemsOf(projection: TaskProjection, notes: readonly Note[]): readonly string[] {
  const problems: string[] = []
  const done = new Map<string, unknown>()
  const answered = new Map<string, unknown>()
  for (const { what, taskId, key, value } of notes) {
    const id = `${taskId} ${key}`
    if (what === 'answered') {
      if (answered.has(id)) problems.push(`${id} was answered twice`)
      answered.set(id, value)
    } else if (what === 'do') {
      if (done.has(id)) problems.push(`${id} was done again`)
    } else if (done.has(id) && done.get(id) !== value) problems.push(`${id} has another result`)
    else done.set(id, value)
  }
  for (const { spec } of projection.tasks()) {
    if (spec.kind !== 'flow') continue
    const runs = projection.runsOf(spec.id)
    for (const run of runs) {
      const given = answered.get(`${spec.id} go`)
      const { end } = projection.wait(run.id, 'wait:go') ?? {}
      const early = projection.earlyAnswer(spec.id, 'go')?.value
      const kept = end?.type === 'answered' ? end.value : early
      if (given !== undefined && kept !== JSON.stringify(given)) problems.push(`the answer to ${spec.id} is lost`)
    }
    if ([...projection.children(spec.id)].length > 3) problems.push(`${spec.id} has called too often`)
    for (const { limit, consumed, reserved } of projection.budgetsOf(spec.id)) {
      if (consumed + reserved > limit || consumed > 3 * 7 + 3 * 5) problems.push(`${spec.id} has spent ${consumed}`)
    }
  }
  return problems
}

it(
  '[T-255] [kill] killed at any moment, no durable step is done twice, nothing is spent twice, and no answer is lost',
  async () => {
    let wave = 0
    for (let killed = 0, life = 1; ; life += 1) {
      const isMortal = killed < kills
      const isDone = await liveOnce(life, wave, isMortal)
      if (!isDone) killed += 1
      const runtime = await createRuntime({ dataDir: join(home, 'journal') })
      const { projection } = runtime.tasks
      expect(problemsOf(projection, await notesIn(join(home, 'notes'))), `life ${life}`).toEqual([])
      if (isDone) {
        for (const { spec, progress } of projection.tasks()) {
          expect(progress, `life ${life}`).toMatchObject({ completed: 1, open: 0 })
          if (spec.kind !== 'flow') continue
          const budget = projection.budget(spec.id, budgetDimension('token'))
          // Exactly what its steps cost, however often they were cut off.
          expect(budget, `life ${life}`).toMatchObject({ consumed: 3 * 7 + 3 * 5, reserved: 0 })
          expect([...projection.children(spec.id)]).toHaveLength(3)
        }
      }
      await runtime.close()
      if (isDone) wave += 1
      if (isDone && !isMortal) break
    }
    // Proof that it got somewhere.
    expect(wave).toBeGreaterThan(0)
  },
  timeout,
)
