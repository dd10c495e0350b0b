import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import { createRuntime } from '../../src/runtime.js'
import { compileChild, type CompiledChild } from '../journal/support/compiled-child.js'
import { isLong, timeout } from '../journal/support/long.js'

/** Kills per directory, each of which finds what the ones before it left, and directories at once. */
const kills = isLong ? 600 : 20
const lanes = 2

const directories: string[] = []
let service: CompiledChild

beforeAll(async () => {
  service = await compileChild('service', 'test/runtime/support')
}, 60_000)

afterAll(async () => {
  await service.remove()
  for (const directory of directories) await rm(directory, { recursive: true })
})

/** Everything services have said in a directory so far. */
class Witness {
  readonly epochs = new Map<string, string>()
  /** Outcome of each handle that settled, by session and id. */
  readonly ended = new Map<string, string>()
  /** Sequence of each row that was seen in a feed. */
  readonly rows = new Map<string, number>()
  readonly problems: string[] = []

  hear(line: string): void {
    const [what, session = '', ...rest] = line.split(' ')
    const [first = '', second = ''] = rest
    if (what === 'ended') this.ended.set(`${session} ${first}`, second)
    if (what === 'row') this.rows.set(`${session} ${second}`, Number(first))
    if (what === 'lost' && this.ended.has(`${session} ${first}`)) this.problems.push(`${first} had ended and is lost`)
    if (what === 'broken') this.problems.push(line)
    if (what !== 'epoch') return
    // Until something durable depends on it, an epoch may be lost with the crash that came too early for it.
    if (this.#hasEndedIn(session) && this.epochs.get(session) !== first)
      this.problems.push(`${session} has another epoch`)
    this.epochs.set(session, first)
  }

  #hasEndedIn(session: string): boolean {
    return [...this.ended.keys()].some((key) => key.startsWith(`${session} `))
  }
}

async function killOne(directory: string, seed: number, witness: Witness): Promise<void> {
  const child = service.start(directory, String(seed))
  const patience = seed % 10 === 0 ? 0 : 1 + ((seed * 7919) % 400)
  let said = ''
  let isKilled = false
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    if (isKilled || said.split('\n').length <= patience) return
    isKilled = true
    child.kill('SIGKILL')
  })
  if (patience === 0) child.kill('SIGKILL')
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (signal !== 'SIGKILL') throw new Error(`seed ${seed}: the service ended by itself with ${code}`)
  // The last line may have been cut short.
  for (const line of said.split('\n').slice(0, -1)) witness.hear(line)
}

/** Opens what the kills left and compares it with what was said. */
async function examine(directory: string, { ended, rows, epochs, problems }: Witness): Promise<number> {
  const store = createDirectoryJournal({ directory, segmentBytes: 64 * 1024 })
  const runtime = await createRuntime({ store })
  const found = new Map<string, string>()
  for (const { id: name, feed, lost, epochId } of runtime.sessions()) {
    let last = 0
    for (const { seq, operationId, outcome } of feed.since(0).entries) {
      const key = `${name} ${operationId}`
      if (seq <= last) problems.push(`sequence ${seq} after ${last}`)
      if (found.has(key)) problems.push(`${key} ended twice`)
      const reported = rows.get(key)
      if (reported !== undefined && reported !== seq) problems.push(`${key} was row ${reported} and is ${seq}`)
      found.set(key, outcome.type)
      last = seq
    }
    if (feed.gapAfter(0) !== undefined) problems.push(`the feed of ${name} has a gap`)
    for (const { id } of lost) if (found.has(`${name} ${id}`)) problems.push(`${id} is lost and has ended`)
    if (last > 0 && epochs.get(name) !== epochId) problems.push(`${name} has another epoch`)
  }
  for (const [key, type] of ended)
    if (found.get(key) !== type) problems.push(`${key} ended as ${type}, now ${found.get(key)}`)
  for (const key of rows.keys()) if (!found.has(key)) problems.push(`${key} was a row and is gone`)
  await runtime.close()
  return found.size
}

async function killRepeatedly(lane: number): Promise<{ kills: number; ended: number; recovered: number }> {
  const home = await mkdtemp(join(tmpdir(), 'stateward-kills-'))
  directories.push(home)
  const directory = join(home, 'journal')
  const witness = new Witness()
  let recovered = 0
  for (let kill = 1; kill <= kills; kill += 1) {
    const seed = lane * 100_003 + kill
    await killOne(directory, seed, witness)
    recovered = await examine(directory, witness)
    expect(witness.problems, `seed ${seed}`).toEqual([])
  }
  return { kills, ended: witness.ended.size, recovered }
}

it(
  'no completion that was reported is lost, doubled or renumbered by killing the service at any moment',
  async () => {
    const results = await Promise.all(Array.from({ length: lanes }, (_, lane) => killRepeatedly(lane + 1)))
    for (const { ended, recovered } of results) {
      // Proof that the services got somewhere, and that more may be durable than was reported, never less.
      expect(ended).toBeGreaterThan(kills)
      expect(recovered).toBeGreaterThanOrEqual(ended)
    }
  },
  timeout,
)
