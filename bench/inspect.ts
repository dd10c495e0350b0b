/**
 * What it costs a service to be inspected: operations that begin and end at once, without an inspector; with the inspector of a
 * runtime, while nobody looks and while a viewer reads everything; with what XState alone does for an observer; and with two
 * bridges to Stately's inspector, ours and the official one, while a listener takes everything. Includes what is done after the
 * operation, up to the last text that leaves.
 */
import { createInspector } from '@statelyai/inspect'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createRuntime, type Runtime, type RuntimeOptions } from '../src/index.js'
import { systemClock } from '../src/base/clock.js'
import { createDeferred } from '../src/base/promises.js'
import { silentLogger } from '../src/base/logger.js'
import { defaultSecretKeys, secretKeys } from '../src/base/mask.js'
import { createInspectorHandler, createStatelyInspector, type AdapterState } from '../src/inspect/index.js'
import { RuntimeSource } from '../src/inspect/sources/runtime-source.js'
import { ShownValues } from '../src/inspect/stream/shown-values.js'
import { heapBytesOf, interleave, processorElapsed, type Bench } from './harness.js'

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
  await workIn(runtime, count)
}

async function workIn(runtime: Runtime, count: number): Promise<void> {
  const session = runtime.session('bench')
  for (let number = 0; number < count; number += 1) {
    await session.run({ kind, displayName: `work ${number}` }, () => 'done').outcome
    // A service that waits for its disk and its network gives such turns all the time.
    if (number % 5 === 0) await nextTurn()
  }
}

async function withObserver(count: number, inspect: RuntimeOptions['inspect']): Promise<Sample> {
  return { milliseconds: await processorElapsed(() => runOperations(count, inspect)), sent: 0 }
}

/** The inspector is mounted, and nobody looks. */
async function unwatched(count: number): Promise<Sample> {
  const milliseconds = await processorElapsed(async () => {
    await using runtime = await createRuntime()
    await using _ = createInspectorHandler({ runtime })
    await workIn(runtime, count)
  })
  return { milliseconds, sent: 0 }
}

function sourceOf(runtime: Runtime, capacity: number): RuntimeSource {
  const shown = new ShownValues({ values: false, isSecret: secretKeys(defaultSecretKeys) })
  return new RuntimeSource({
    runtime,
    clock: systemClock,
    logger: silentLogger,
    shown,
    actions: false,
    sample: 1,
    capacity,
    name: 'bench',
  })
}

/** A viewer reads every message of the stream. */
async function watched(count: number): Promise<Sample> {
  let sent = 0
  const milliseconds = await processorElapsed(async () => {
    await using runtime = await createRuntime()
    const source = sourceOf(runtime, 100_000)
    const abort = new AbortController()
    const began = createDeferred<void>()
    const reading = (async () => {
      for await (const { type, id, json } of source.follow(undefined, abort.signal)) {
        began.resolve()
        if (type !== 'entries') continue
        if (json.includes('"type":"gap"')) throw new Error('entries were dropped')
        sent = Number(id?.split('@')[0])
      }
    })()
    await began.promise
    await workIn(runtime, count)
    source.close('done')
    await reading
  })
  return { milliseconds, sent }
}

/** What a stream holds at most, with contents shown. */
async function heldBytes(count: number): Promise<number> {
  const { bytes } = await heapBytesOf(async () => {
    await using runtime = await createRuntime()
    const source = sourceOf(runtime, 1000)
    const abort = new AbortController()
    const viewer = source.follow(undefined, abort.signal)
    await viewer.next()
    await workIn(runtime, count)
    source.close('done')
    return source
  })
  return bytes
}

async function withOurs(count: number, state: AdapterState): Promise<Sample> {
  const adapter = new Listener(state)
  const inspector = createStatelyInspector({ adapter })
  inspector.start().catch(() => {})
  const milliseconds = await processorElapsed(async () => {
    await runOperations(count, inspector.inspect)
    await inspector.stop()
  })
  if (inspector.dropped > 0) throw new Error(`${inspector.dropped} events were dropped`)
  return { milliseconds, sent: adapter.sent }
}

async function withOfficial(count: number): Promise<Sample> {
  const listener = new Listener('ready')
  const { inspect } = createInspector(listener)
  const milliseconds = await processorElapsed(async () => {
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
    const count = quick ? 2000 : 5000
    const rounds = quick ? 3 : 7
    progress(`${count} operations, ${rounds} rounds`)
    const unseen = {
      none: () => withObserver(count, undefined),
      'inspector, nobody looks': () => unwatched(count),
    }
    const samples = await interleave<string, Sample>(
      {
        ...unseen,
        'an observer that does nothing': () => withObserver(count, () => {}),
        'inspector, a viewer reads': () => watched(count),
        'bridge, nobody connected': () => withOurs(count, 'disconnected'),
        'bridge, connected': () => withOurs(count, 'ready'),
        'official, connected': () => withOfficial(count),
      },
      { rounds },
    )
    // That these two are the same can be told only from many rounds.
    const more = await interleave<string, Sample>(unseen, { rounds: quick ? 20 : 30 })
    for (const [name, added] of Object.entries(more)) samples[name]?.push(...added)
    // The cheapest round of each: what others on the machine add to a round is left out.
    const cost = (name: string): number =>
      (1000 * Math.min(...(samples[name] ?? []).map(({ milliseconds }) => milliseconds))) / count
    progress('memory of a viewer that does not read')
    const held = await heldBytes(quick ? 200 : 20_000)
    return {
      name: 'inspect',
      configuration: { operations: count, rounds },
      rows: Object.entries(samples).map(([inspector, [first]]) => {
        const sent = (first?.sent ?? 0) / count
        return {
          inspector,
          'us per operation': cost(inspector),
          'events sent per operation': sent,
          'us per event': sent === 0 ? '-' : (cost(inspector) - cost('none')) / sent,
        }
      }),
      ratios: {
        offVsNone: cost('inspector, nobody looks') / cost('none'),
        onVsOfficial: cost('inspector, a viewer reads') / cost('official, connected'),
        bridgeUnconnectedVsObserver: cost('bridge, nobody connected') / cost('an observer that does nothing'),
        bridgeVsOfficial: cost('bridge, connected') / cost('official, connected'),
        heldBytesPerEntry: held / 1000,
      },
      aims: { offVsNone: { atMost: 1.02 }, onVsOfficial: { atMost: 0.7 }, heldBytesPerEntry: { atMost: 10_000 } },
    }
  },
}

export default bench
