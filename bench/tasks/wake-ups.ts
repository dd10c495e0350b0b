import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import type { TaskId } from '../../src/tasks/ids.js'
import { heapBytesOf, type BenchOptions } from '../harness.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { emptyKind, openDispatcher, type OpenedDispatcher } from './open-dispatcher.js'

const day = 86_400

/** A dispatcher with so many runs that wait for times far away. */
interface Loaded extends OpenedDispatcher {
  readonly clock: SimulatedClock
  readonly bytes: number
}

async function load(waiting: number): Promise<Loaded> {
  const clock = new SimulatedClock()
  const opened = await openDispatcher({ clock, concurrency: 4 })
  const { bytes } = await heapBytesOf(async () => {
    for (let number = 0; number < waiting; number += 1) {
      // Neighbours in creation are far apart in time.
      await schedule(opened, clock, day + ((number * 7919) % waiting))
    }
  })
  return { ...opened, clock, bytes }
}

/** Submits a task whose only run is due in so many seconds. */
function schedule({ tasks }: OpenedDispatcher, clock: SimulatedClock, inSeconds: number): Promise<TaskId> {
  return tasks.submit({ kind: emptyKind, at: clock.wallNow() + inSeconds * 1000 })
}

/** Microseconds from the moment a run is due until its end is committed. */
async function measureDue(loaded: Loaded): Promise<number> {
  const { tasks, clock } = loaded
  const end = tasks.outcome(await schedule(loaded, clock, 1))
  // The wake-up is armed by the pump that follows the commit.
  await nextTurn()
  const start = performance.now()
  clock.advance(1000)
  await end
  return (performance.now() - start) * 1000
}

/** Microseconds of a wake-up that finds nothing to do. */
async function measureIdle({ tasks }: Loaded, wakeUps: number): Promise<number> {
  const start = performance.now()
  for (let number = 0; number < wakeUps; number += 1) {
    // Another handler is a reason to look at everything again.
    tasks.handle('other', () => undefined)[Symbol.dispose]()
    await Promise.resolve()
  }
  return ((performance.now() - start) * 1000) / wakeUps
}

/** Milliseconds for which a snapshot holds everything else up: what is written is captured at once and encoded later. */
function measureCapture({ tasks }: Loaded): number {
  const start = performance.now()
  tasks.authority.capture()
  return performance.now() - start
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/**
 * What a wake-up of the dispatcher costs while many runs wait for their time; all in memory, so that no disk counts. The
 * dispatchers of every size live side by side and are woken in turns.
 */
export async function measureWakeUps({ quick, progress }: BenchOptions): Promise<Part> {
  const sizes = quick ? [1_000, 100_000] : [1_000, 100_000, 1_000_000]
  const rounds = quick ? 200 : 1_000
  const all: { readonly size: number; readonly loaded: Loaded; readonly due: number[]; readonly idle: number[] }[] = []
  for (const size of sizes) {
    progress(`scheduling ${size} runs`)
    all.push({ size, loaded: await load(size), due: [], idle: [] })
  }
  progress('waking up')
  for (let round = -50; round < rounds; round += 1) {
    for (const { loaded, due, idle } of all) {
      const [dueCost, idleCost] = [await measureDue(loaded), await measureIdle(loaded, 20)]
      if (round < 0) continue
      due.push(dueCost)
      idle.push(idleCost)
    }
  }
  const rows = all.map(({ size, loaded, due, idle }) => ({
    what: 'wake-up',
    'scheduled runs': size,
    'due run us': median(due),
    'idle us': median(idle),
    'capture ms': median([1, 2, 3].map(() => measureCapture(loaded))),
    'bytes per task and run': Math.round(loaded.bytes / size),
  }))
  for (const { loaded } of all) await loaded[Symbol.asyncDispose]()
  const [smallest, largest] = [rows[0], rows.at(-1)]
  if (smallest === undefined || largest === undefined) throw new Error('nothing was measured')
  return {
    rows,
    ratios: {
      growth: largest['due run us'] / smallest['due run us'],
      idleGrowth: largest['idle us'] / smallest['idle us'],
      bytesPerScheduled: largest['bytes per task and run'],
    },
  }
}
