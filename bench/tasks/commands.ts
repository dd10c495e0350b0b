import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { TaskCommand } from '../../src/tasks/commands.js'
import { elapsed, interleave, type BenchOptions, type Cell } from '../harness.js'
import { RawFloor } from '../journal/contenders.js'
import { median, percentile } from '../statistics.js'
import type { Part } from '../tasks.js'
import { openTasks } from './open-tasks.js'
import { commandsPerLife, liveOnce } from './run-life.js'

interface Sample {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

/** Commands per round at each number of submitters: rounds of comparable length. */
const commandsPerRound: Readonly<Record<number, number>> = { 1: 4_000, 16: 16_000, 256: 102_400 }
const quickCommandsPerRound: Readonly<Record<number, number>> = { 1: 1_000, 16: 4_000, 256: 25_600 }
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
      timestamp: 1_760_000_000,
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

async function measureAuthority(directory: string | undefined, submitters: number, commands: number): Promise<Sample> {
  await using tasks = await openTasks(directory)
  return await measureLives(async (command) => (await tasks.authority.submit(command)).sequence, submitters, commands)
}

/** The same authority, but a command begins only when the one before it is on the disk: one sync per command. */
async function measureSerial(directory: string, submitters: number, commands: number): Promise<Sample> {
  await using tasks = await openTasks(directory)
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
        grouped: async () => measureAuthority(await folder(), submitters, commands),
        inMemory: () => measureAuthority(undefined, submitters, commands),
        serial: async () => measureSerial(await folder(), submitters, fewer),
        syncPerRecord: async () => measureFloor(await folder(), fewer),
      },
      { rounds: quick ? 1 : 5 },
    )
    const middle = (name: Name, value: keyof Sample): number => median(samples[name].map((sample) => sample[value]))
    for (const name of names) {
      rows.push({
        what: `command, ${name}`,
        'at a time': submitters,
        'per second': middle(name, 'perSecond'),
        'p50 ms': middle(name, 'p50'),
        'p99 ms': middle(name, 'p99'),
      })
    }
    const perSecond = middle('grouped', 'perSecond')
    ratios[`groupCommit${submitters}`] = perSecond / middle('serial', 'perSecond')
    ratios[`vsSyncPerRecord${submitters}`] = perSecond / middle('syncPerRecord', 'perSecond')
    ratios[`ofMemory${submitters}`] = perSecond / middle('inMemory', 'perSecond')
  }
  return { rows, ratios }
}
