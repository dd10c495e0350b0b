import { createUuidSource } from '../src/base/ids.js'
import type { OperationId, TurnId } from '../machines/operation-vocabulary.js'
import { createRuntime } from '../src/runtime.js'
import { elapsed, interleave, liveHeapBytes, type Bench, type Cell } from './harness.js'
import { median } from './statistics.js'

const ids = createUuidSource({ now: () => Date.now() })

/** Microseconds per ending while one wait-all holds `members` operations, and the same endings without a wait. */
async function costPerEnding(members: number, isWaiting: boolean): Promise<number> {
  await using runtime = await createRuntime()
  const { operations, id: ownerSessionId } = runtime.session('bench')
  const batch = Array.from({ length: members }, () => ids.uuid() as OperationId)
  for (const id of batch) {
    const common = { sourceLabel: 'bench', childSessionId: null, expectPeerChannel: false }
    await operations.registerOperation({
      id,
      kind: 'background_tool_op',
      ownerSessionId,
      displayName: 'bench',
      ...common,
    })
    await operations.provisioningSucceeded(id)
  }
  const wait = isWaiting ? operations.waitAll(ids.uuid() as TurnId, batch) : undefined
  await liveHeapBytes()
  const milliseconds = await elapsed(async () => {
    for (const id of batch) void operations.failOperation(id, 'done')
    if (wait === undefined) return
    const { satisfied } = await wait
    operations.acknowledgeObligation(satisfied)
  })
  return (milliseconds * 1000) / members
}

/** Microseconds per ending when every ending tests all members, as a hand-rolled wait does. */
async function costOfTestingAll(members: number): Promise<number> {
  const ended = new Array<boolean>(members).fill(false)
  let satisfied = false
  const milliseconds = await elapsed(() => {
    for (let index = 0; index < members; index += 1) {
      ended[index] = true
      satisfied = ended.every(Boolean)
    }
  })
  if (!satisfied) throw new Error('the wait was never satisfied')
  return (milliseconds * 1000) / members
}

const bench: Bench = {
  name: 'barrier',
  async run({ quick, progress }) {
    const sizes = quick ? [100, 1_000] : [1_000, 10_000, 100_000]
    const rounds = quick ? 1 : 5
    const rows: Record<string, Cell>[] = []
    const cost = new Map<string, number>()
    for (const members of sizes) {
      progress(`${members} members`)
      const samples = await interleave(
        {
          waiting: () => costPerEnding(members, true),
          alone: () => costPerEnding(members, false),
          testingAll: () => (members > 10_000 ? Promise.resolve(Number.NaN) : costOfTestingAll(members)),
        },
        { rounds },
      )
      const row: Record<string, Cell> = { members }
      for (const [name, title] of [
        ['waiting', 'under a wait-all us'],
        ['alone', 'without a wait us'],
        ['testingAll', 'testing all members us'],
      ] as const) {
        const value = median(samples[name])
        cost.set(`${name} ${members}`, value)
        row[title] = Number.isNaN(value) ? 'quadratic' : Number(value.toFixed(2))
      }
      rows.push(row)
    }
    const [smallest, largest] = [sizes[0] as number, sizes.at(-1) as number]
    const at = (name: string, members: number): number => cost.get(`${name} ${members}`) ?? Number.NaN
    return {
      name: 'barrier',
      configuration: { rounds, unit: 'one member ends' },
      rows,
      ratios: {
        growth: at('waiting', largest) / at('waiting', smallest),
        overNoWait: at('waiting', largest) / at('alone', largest),
      },
      aims: { growth: { atMost: 1.5 }, overNoWait: { atMost: 2 } },
    }
  },
}

export default bench
