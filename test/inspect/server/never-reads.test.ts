import { createRuntime } from 'stateward'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it, onTestFinished } from 'vitest'
import { RuntimeSource } from '../../../src/inspect/sources/runtime-source.js'
import { ShownValues } from '../../../src/inspect/stream/shown-values.js'
import type { GapEntry } from '../../../src/inspect/stream/protocol.js'
import { silentLogger } from '../../../src/base/logger.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'

setFlagsFromString('--expose-gc')
const perMinute = process.env['STATEWARD_LONG'] === undefined ? 1 : 20

const gc = runInNewContext('gc') as () => void

async function liveHeap(): Promise<number> {
  for (let pass = 0; pass < 3; pass += 1) {
    await nextTurn()
    gc()
  }
  return process.memoryUsage().heapUsed
}

it('holds no more for a viewer that never reads, in 24 simulated hours, and tells it what it has missed', {
  timeout: 120_000,
}, async () => {
  const clock = new SimulatedClock()
  const runtime = await createRuntime({ clock })
  onTestFinished(() => runtime.close({ policy: 'terminate' }))
  const source = new RuntimeSource({
    runtime,
    clock,
    logger: silentLogger,
    shown: new ShownValues({ values: true, isSecret: () => false }),
    actions: false,
    sample: 1,
    capacity: 100,
    name: 'runtime',
  })
  onTestFinished(() => source[Symbol.asyncDispose]())
  const abort = new AbortController()
  const viewer = source.follow(undefined, abort.signal)[Symbol.asyncIterator]()
  expect((await viewer.next()).value.type).toBe('hello')
  const session = runtime.session('agent')
  const hour = async (): Promise<void> => {
    for (let minute = 0; minute < 60; minute += 1) {
      for (let number = 0; number < perMinute; number += 1) {
        await session.run({ kind: 'background_tool_op', displayName: `work ${number}` }, () => 'x'.repeat(500)).outcome
      }
      clock.advance(60_000)
      await nextTurn()
    }
  }
  // Rings and records fill up first.
  for (let hours = 0; hours < 12; hours += 1) await hour()
  const before = await liveHeap()
  for (let hours = 0; hours < 12; hours += 1) await hour()
  const grown = (await liveHeap()) - before
  expect(grown).toBeLessThan(1024 * 1024)
  const { value } = await viewer.next()
  const [gap, next] = (JSON.parse(value.json) as { entries: GapEntry[] }).entries
  expect(gap).toMatchObject({ type: 'gap', from: 1, reason: 'slow' })
  expect(next?.n).toBe((gap?.n ?? 0) + 1)
  expect(gap?.n).toBeGreaterThan(5_000)
  abort.abort()
  await viewer.return?.(undefined)
})
