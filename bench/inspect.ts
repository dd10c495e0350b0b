/**
 * What it costs a service to be inspected: operations that begin and end at once, without an inspector,
 * with what XState alone does for one, with ours while nobody is connected, with ours and with the official one while a listener takes
 * everything. Includes what is done after the operation, up to the last text that leaves.
 */
import { createInspector } from '@statelyai/inspect'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createRuntime, type RuntimeOptions } from '../src/index.js'
import { createStatelyInspector, type AdapterState } from '../src/inspect/index.js'
import { elapsed, interleave, type Bench } from './harness.js'
import { median } from './statistics.js'

/** Puts events into the form in which they leave, and lets go of them. */
class Listener {
  readonly state: AdapterState
  sent = 0

  constructor(state: AdapterState) {
    this.state = state
  }

  send(event: object): void {
    this.sent += JSON.stringify(event).length > 0 ? 1 : 0
  }
}

interface Sample {
  readonly milliseconds: number
  readonly sent: number
}

const kind = 'background_tool_op'

async function runOperations(count: number, inspect: RuntimeOptions['inspect']): Promise<void> {
  await using runtime = await createRuntime(inspect === undefined ? {} : { inspect })
  const session = runtime.session('bench')
  for (let number = 0; number < count; number += 1) {
    await session.run({ kind, displayName: `work ${number}` }, () => 'done').outcome
    // A service that waits for its disk and its network gives such turns all the time.
    if (number % 5 === 0) await nextTurn()
  }
}

async function withObserver(count: number, inspect: RuntimeOptions['inspect']): Promise<Sample> {
  return { milliseconds: await elapsed(() => runOperations(count, inspect)), sent: 0 }
}

async function withOurs(count: number, state: AdapterState): Promise<Sample> {
  const adapter = new Listener(state)
  const inspector = createStatelyInspector({ adapter })
  inspector.start().catch(() => {})
  const milliseconds = await elapsed(async () => {
    await runOperations(count, inspector.inspect)
    await inspector.stop()
  })
  if (inspector.dropped > 0) throw new Error(`${inspector.dropped} events were dropped`)
  return { milliseconds, sent: adapter.sent }
}

async function withOfficial(count: number): Promise<Sample> {
  const listener = new Listener('ready')
  const { inspect } = createInspector(listener)
  const milliseconds = await elapsed(async () => {
    await runOperations(count, inspect)
    for (let before = -1; before < listener.sent; await nextTurn()) {
      before = listener.sent
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  })
  return { milliseconds, sent: listener.sent }
}

const bench: Bench = {
  name: 'inspect',
  async run({ quick, progress }) {
    const count = quick ? 200 : 5000
    const rounds = quick ? 1 : 7
    progress(`${count} operations, ${rounds} rounds`)
    const samples = await interleave<string, Sample>(
      {
        none: () => withObserver(count, undefined),
        'an observer that does nothing': () => withObserver(count, () => {}),
        'ours, nobody connected': () => withOurs(count, 'disconnected'),
        'ours, connected': () => withOurs(count, 'ready'),
        'official, connected': () => withOfficial(count),
      },
      { rounds },
    )
    const cost = (name: string): number =>
      (1000 * median((samples[name] ?? []).map(({ milliseconds }) => milliseconds))) / count
    return {
      name: 'inspect',
      configuration: { operations: count, rounds },
      rows: Object.entries(samples).map(([inspector, [first]]) => ({
        inspector,
        'us per operation': cost(inspector),
        'events sent per operation': (first?.sent ?? 0) / count,
      })),
      ratios: {
        unconnectedVsObserver: cost('ours, nobody connected') / cost('an observer that does nothing'),
        unconnectedVsNone: cost('ours, nobody connected') / cost('none'),
        connectedVsOfficial: cost('official, connected') / cost('ours, connected'),
      },
    }
  },
}

export default bench
