import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { ask, openStream, type ServerSentEvent } from './support/client.js'
import { compileService, type CompiledService, type ServiceProcess } from './support/service-process.js'

let compiled: CompiledService

beforeAll(async () => {
  compiled = await compileService()
}, 60_000)

afterAll(() => compiled.remove())

async function makeDataDir(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'stateward-service-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  return dataDir
}

async function start(dataDir: string): Promise<ServiceProcess> {
  const service = await compiled.start(dataDir)
  onTestFinished(() => void service.end('SIGKILL'))
  return service
}

/** A client that posts jobs, several at a time, until the service is gone; it keeps what was accepted. */
async function postJobs(url: string, accepted: Set<string>, count: number): Promise<void> {
  let next = 0
  const postOne = async (): Promise<void> => {
    while (next < count) {
      next += 1
      const job = next % 5 === 0 ? { type: 'sleep', ms: 20 } : { type: 'hash', text: String(next) }
      const { status, body } = await ask('POST', `${url}/sessions/one/operations`, {
        json: { displayName: 'work', job },
      })
      expect(status).toBe(202)
      accepted.add(body.id)
    }
  }
  await Promise.allSettled(Array.from({ length: 8 }, postOne))
}

it('forgets nothing that it accepted when it is killed, and clients see each completion once', async () => {
  const dataDir = await makeDataDir()
  const accepted = new Set<string>()
  const seen: ServerSentEvent[] = []
  const killAfter = [1, 25, 60, 13]
  for (const count of killAfter) {
    const service = await start(dataDir)
    const working = postJobs(service.url, accepted, 1000)
    await expect.poll(() => accepted.size).toBeGreaterThan(0)
    const stream = await openStream(`${service.url}/sessions/one/completions`, seen.at(-1)?.id)
    await stream.until(() => stream.events.length >= count)
    await service.end('SIGKILL')
    await stream.ended.catch(() => {})
    seen.push(...stream.events)
    await working
  }

  const service = await start(dataDir)
  await postJobs(service.url, accepted, 20)
  const session = `${service.url}/sessions/one`
  // The service has begun nothing that is still to end after this.
  const { body } = await ask('GET', `${session}/operations`)
  const live = body.operations.filter(({ terminal }: { terminal: boolean }) => !terminal)
  await ask('POST', `${session}/wait`, { json: { operationIds: live.map(({ id }: { id: string }) => id) } })
  const all = await openStream(`${session}/completions`, '0')
  const rest = await openStream(`${session}/completions`, seen.at(-1)?.id)
  await service.end('SIGTERM')
  await Promise.all([all.ended, rest.ended])
  seen.push(...rest.events)

  // Across five processes: the same completions in the same order as in the journal, none twice.
  const idsSeen = seen.map(({ data }) => data.operationId)
  expect(seen.map(({ id }) => id)).toEqual(all.events.map(({ id }) => id))
  expect(idsSeen).toEqual(all.events.map(({ data }) => data.operationId))
  expect(new Set(idsSeen).size).toBe(idsSeen.length)
  expect(idsSeen.length).toBeGreaterThanOrEqual(1 + 25 + 60 + 13 + 20)
  // What was accepted has completed or is reported as lost, and not both.
  const lost = new Set<string>(body.lost.map(({ id }: { id: string }) => id))
  const completed = new Set<string>(idsSeen)
  const accountsOf = (id: string): number => Number(completed.has(id)) + Number(lost.has(id))
  expect([...accepted].filter((id) => accountsOf(id) !== 1)).toEqual([])
  expect([...lost].filter((id) => completed.has(id))).toEqual([])
})

it.each(['SIGTERM', 'SIGINT'] as const)('on %s winds down what runs and ends by itself', async (signal) => {
  const dataDir = await makeDataDir()
  const service = await start(dataDir)
  const json = { displayName: 'nap', job: { type: 'sleep', ms: 60_000 } }
  const { body } = await ask('POST', `${service.url}/sessions/one/operations`, { json })
  const stream = await openStream(`${service.url}/sessions/one/completions`)
  expect(await service.end(signal)).toEqual([0, null])
  await stream.ended
  expect(stream.events).toMatchObject([
    { data: { operationId: body.id, outcome: { type: 'completed', result: { content: 'woken early' } } } },
  ])
})

it('refuses to start beside another on the same data', async () => {
  const dataDir = await makeDataDir()
  await start(dataDir)
  await expect(compiled.start(dataDir)).rejects.toThrow('is in use by process')
})
