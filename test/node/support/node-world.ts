import { onTestFinished } from 'vitest'
import { DeadlineQueue } from '../../../src/base/deadline-queue.js'
import { createUuidSource } from '../../../src/base/ids.js'
import type { Logger } from '../../../src/base/logger.js'
import type { JournalStore } from '../../../src/journal/journal.js'
import { Lane } from '../../../src/lane/lane.js'
import { NodeHistory } from '../../../src/node/history.js'
import type { ChainId, DaemonId, NodeId } from '../../../src/node/ids.js'
import { LocalNode } from '../../../src/node/local-node.js'
import type { RuntimeNodeOptions } from '../../../src/node/local-node-options.js'
import { SimulatedClock } from '../../../src/testing/index.js'
import { JobList } from '../../../src/work/job-list.js'

export const node = (name: number | string): NodeId => String(name).padStart(16, '0') as NodeId
export const chainId = (name: number | string): ChainId => String(name).padStart(16, '0') as ChainId
export const daemonId = (name: number | string): DaemonId => String(name).padStart(16, '0') as DaemonId
export const thisNode = node(1)

/** Milliseconds between ticks unless a test says otherwise. */
export const tickMs = 500

/** Lets everything run that waits for nothing but its turn. */
export async function settle(turns = 8): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate)
}

export interface LoggedLine {
  readonly level: keyof Logger
  readonly fields: Record<string, unknown>
  readonly message: string
}

/** A logger that keeps what it is told. */
export function keepingLogger(lines: LoggedLine[]): Logger {
  const write =
    (level: keyof Logger) =>
    (fields: object, message: string): void =>
      void lines.push({ level, fields: fields as Record<string, unknown>, message })
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

/** A node on a simulated clock, in memory unless there is a store, started. */
export class NodeWorld {
  readonly clock: SimulatedClock
  readonly deadlines: DeadlineQueue
  readonly jobs = new JobList()
  readonly lines: LoggedLine[] = []
  readonly history: NodeHistory
  readonly lane: Lane
  readonly node: LocalNode

  private constructor(clock: SimulatedClock, options: Partial<RuntimeNodeOptions>, history: NodeHistory, lane: Lane) {
    this.clock = clock
    this.deadlines = new DeadlineQueue(clock)
    this.history = history
    this.lane = lane
    const logger = keepingLogger(this.lines)
    const ids = createUuidSource({ now: () => clock.wallNow() })
    this.node = new LocalNode(
      { thisNode, ...options },
      { clock, deadlines: this.deadlines, ids, jobs: this.jobs, logger, history },
    )
  }

  static async open(
    options: Partial<RuntimeNodeOptions> = {},
    { store, clock = new SimulatedClock() }: { readonly store?: JournalStore; readonly clock?: SimulatedClock } = {},
  ): Promise<NodeWorld> {
    const world = await NodeWorld.prepare(options, { ...(store !== undefined && { store }), clock })
    await world.node.start()
    await settle()
    return world
  }

  /** The same, but its loop has not begun. */
  static async prepare(
    options: Partial<RuntimeNodeOptions> = {},
    { store, clock = new SimulatedClock() }: { readonly store?: JournalStore; readonly clock?: SimulatedClock } = {},
  ): Promise<NodeWorld> {
    const history = new NodeHistory(options.retention === undefined ? {} : { retention: options.retention })
    const lane = await Lane.open({
      ...(store !== undefined && { store }),
      streamFor: (name) => (name === NodeHistory.streamName ? history : undefined),
    })
    history.start(lane)
    return new NodeWorld(clock, options, history, lane)
  }

  get snapshot() {
    return this.node.reader.read()
  }

  /** So many ticks, and what follows from each. */
  async tick(count = 1): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      this.clock.advance(this.node.configuration.tickIntervalMs)
      await settle()
    }
  }

  /** Ends the node as its runtime would. */
  async close(): Promise<void> {
    await this.node.shutdown({ graceMs: 0 })
    await this.lane.close()
  }
}

/** A node in memory that is closed when its test ends, if it still runs. */
export async function openWorld(options: Partial<RuntimeNodeOptions> = {}): Promise<NodeWorld> {
  const world = await NodeWorld.open(options)
  onTestFinished(async () => {
    if (world.node.isRunning) await world.close()
  })
  return world
}
