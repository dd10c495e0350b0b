import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { TaskCommand } from '../../src/tasks/catalogue.js'
import type { FileSystem } from '../../src/journal/file-system.js'
import { elapsed, interleave, type BenchOptions, type Cell } from '../harness.js'
import { RawFloor } from '../journal/contenders.js'
import { median, percentile } from '../statistics.js'
import type { Part } from '../tasks.js'
import { openTasks } from './open-tasks.js'
import { commandsPerLife, liveOnce } from './run-life.js'
import { slowDisk } from './slow-disk.js'

interface Sample {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

/** Commands per round at each number of submitters: rounds of comparable length. */
const commandsPerRound: Readonly<Record<number, number>> = { 1: 4_000, 16: 16_000, 256: 102_400 }
const quickCommandsPerRound: Readonly<Record<number, number>> = { 1: 1_000, 16: 4_000, 256: 25_600 }
/** Milliseconds that a durable write takes longer on the slow disk. */
const slowSync = 1
/** One command after another needs no more to be measured. */
const serialCommands = 8_000

const names = ['grouped', 'inMemory', 'serial', 'syncPerRecord'] as const
type Name = (typeof names)[number]

/** A record of the log as the middle of a run's life looks, for the floor. */
const record = Buffer.from(
  JSON.stringify([
    'tasks',
    {
      sequence: 123_456,
      type: 'run_state_changed',
      version: 1,
      runId: '0190b6f0-1c2d-7e3f-8a4b-123456789abc',
      previousState: 'leased',
      newState: 'running',
      atMs: 1_760_000_000_000,
    },
  ]),
)

type Take = (command: TaskCommand) => Promise<number>

/** Lives of runs, so many at a time, until `commands` commands were answered. */
async function measureLives(take: Take, submitters: number, commands: number): Promise<Sample> {
  const latencies: number[] = []
  const submit = async (command: TaskCommand): Promise<number> => {
    const start = performance.now()
    const sequence = await take(command)
    latencies.push(performance.now() - start)
    return sequence
  }
  const lives = Math.ceil(commands / commandsPerLife)
  let next = 0
  const submitter = async (): Promise<void> => {
    while (next < lives) {
      next += 1
      await liveOnce(submit)
    }
  }
  return summarize(await elapsed(() => Promise.all(Array.from({ length: submitters }, submitter))), latencies)
}

/** What is submitted, by how many, and to what. */
interface Load {
  readonly submitters: number
  readonly commands: number
  /** In memory without one. */
  readonly directory?: string
  readonly fileSystem?: FileSystem
}

async function measureGrouped({ directory, fileSystem, submitters, commands }: Load): Promise<Sample> {
  await using tasks = await openTasks(directory, fileSystem)
  return await measureLives(async (command) => (await tasks.authority.submit(command)).sequence, submitters, commands)
}

/** The same authority, but a command begins only when the one before it is on the disk: one sync per command. */
async function measureSerial({ directory, fileSystem, submitters, commands }: Load): Promise<Sample> {
  await using tasks = await openTasks(directory, fileSystem)
  let last: Promise<unknown> = Promise.resolve()
  const take = async (command: TaskCommand): Promise<number> => {
    const before = last
    const turn = before.then(() => tasks.authority.submit(command))
    last = turn
    return (await turn).sequence
  }
  return await measureLives(take, submitters, commands)
}

/** One write of a ready record after another, each synced: what the disk alone allows without sharing. */
async function measureFloor(directory: string, commands: number): Promise<Sample> {
  const floor = new RawFloor(directory)
  const latencies: number[] = []
  try {
    const milliseconds = await elapsed(async () => {
      for (let number = 0; number < commands; number += 1) {
        const start = performance.now()
        await floor.append(record)
        latencies.push(performance.now() - start)
      }
    })
    return summarize(milliseconds, latencies)
  } finally {
    floor.close()
  }
}

function summarize(milliseconds: number, latencies: readonly number[]): Sample {
  return {
    perSecond: (latencies.length / milliseconds) * 1000,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
  }
}

function middleOf(samples: readonly Sample[]): Sample {
  const middle = (value: keyof Sample): number => median(samples.map((sample) => sample[value]))
  return { perSecond: middle('perSecond'), p50: middle('p50'), p99: middle('p99') }
}

function rowOf(name: string, submitters: number, { perSecond, p50, p99 }: Sample): Record<string, Cell> {
  return { what: `command, ${name}`, 'at a time': submitters, 'per second': perSecond, 'p50 ms': p50, 'p99 ms': p99 }
}

/** What a command costs: alone, with others to share a sync with, and without sharing. */
export async function measureCommands(directory: string, { quick, progress }: BenchOptions): Promise<Part> {
  const rows: Record<string, Cell>[] = []
  const ratios: Record<string, number> = {}
  const folder = (): Promise<string> => mkdtemp(join(directory, 'commands-'))
  for (const submitters of [1, 16, 256]) {
    progress(`commands, ${submitters} submitters`)
    const commands = (quick ? quickCommandsPerRound : commandsPerRound)[submitters] ?? 0
    const fewer = Math.min(commands, serialCommands)
    const samples = await interleave<Name, Sample>(
      {
        grouped: async () => measureGrouped({ directory: await folder(), submitters, commands }),
        inMemory: () => measureGrouped({ submitters, commands }),
        serial: async () => measureSerial({ directory: await folder(), submitters, commands: fewer }),
        syncPerRecord: async () => measureFloor(await folder(), fewer),
      },
      { rounds: quick ? 1 : 5 },
    )
    for (const name of names) rows.push(rowOf(name, submitters, middleOf(samples[name])))
    const { perSecond } = middleOf(samples.grouped)
    ratios[`groupCommit${submitters}`] = perSecond / middleOf(samples.serial).perSecond
    ratios[`vsSyncPerRecord${submitters}`] = perSecond / middleOf(samples.syncPerRecord).perSecond
    ratios[`ofMemory${submitters}`] = perSecond / middleOf(samples.inMemory).perSecond
  }
  progress(`commands, 256 submitters, a disk that needs ${slowSync} ms more`)
  const commands = quick ? 10_240 : 51_200
  const fileSystem = slowDisk(slowSync)
  const slow = await interleave(
    {
      grouped: async () => measureGrouped({ directory: await folder(), fileSystem, submitters: 256, commands }),
      serial: async () => measureSerial({ directory: await folder(), fileSystem, submitters: 256, commands: 1_000 }),
    },
    { rounds: quick ? 1 : 3 },
  )
  const [grouped, serial] = [middleOf(slow.grouped), middleOf(slow.serial)]
  rows.push(rowOf('grouped, slow disk', 256, grouped), rowOf('serial, slow disk', 256, serial))
  ratios['groupCommit256SlowDisk'] = grouped.perSecond / serial.perSecond
  return { rows, ratios }
}
