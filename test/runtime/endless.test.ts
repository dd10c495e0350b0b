import { expect, it } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { defineTask } from '../../src/index.js'
import { createRuntime, type Runtime } from '../../src/runtime.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'

/** Counts rounds of something that has no end by itself, and ends it when it has gone on for too long. */
class Endless {
  rounds = 0
  readonly #most: number
  #isStopped = false

  /** `most` is more than can happen before a timer fires that is due at once, unless nothing else ever has its turn. */
  constructor(most: number) {
    this.#most = most
  }

  get isExhausted(): boolean {
    return this.rounds >= this.#most
  }

  /** True while another round may begin. */
  next(): boolean {
    this.rounds += 1
    return !this.#isStopped && !this.isExhausted
  }

  stop(): void {
    this.#isStopped = true
  }
}

const mostStarts = 2000
/** Reading is fast. */
const mostReads = 50_000

const rerunnable = { disposition: 'rerunnable' } as const
type Begin = (runtime: Runtime, endless: Endless) => unknown

const processesThat: Record<string, Begin> = {
  'a process that calls itself': ({ processes }, endless) => {
    processes.define('self', rerunnable, (_: unknown, { call }) => (endless.next() ? call('self') : undefined))
    return processes.start('self')
  },
  'processes that call each other': ({ processes }, endless) => {
    processes.define('ping', rerunnable, (_: unknown, { call }) => (endless.next() ? call('pong') : undefined))
    processes.define('pong', rerunnable, (_: unknown, { call }) => (endless.next() ? call('ping') : undefined))
    return processes.start('ping')
  },
  'a process that starts others in a loop': ({ processes }, endless) => {
    const leaf = processes.define('leaf', rerunnable, () => {})
    const loop = processes.define('loop', { disposition: 'owner_bound' }, async () => {
      while (endless.next()) await processes.start(leaf, undefined)
    })
    return processes.start(loop, undefined)
  },
  'a process that does steps without end': ({ processes }, endless) => {
    const steps = processes.define('steps', rerunnable, async (_: unknown, { step }) => {
      while (endless.next()) await step('one more', () => endless.rounds)
    })
    return processes.start(steps, undefined)
  },
}

const questions: Record<string, Begin> = {
  'a caller that asks how a process stands': async ({ processes }, endless) => {
    const waiting = processes.define('waiting', rerunnable, (_: unknown, { sleep }) => sleep(60_000))
    const handle = await processes.start(waiting, undefined)
    while (endless.next() && (await handle.status()).status === 'running');
  },
  'a caller that lists processes': async ({ processes }, endless) => {
    while (endless.next() && (await processes.list()).length === 0);
  },
  'a caller that cancels what has ended': async ({ processes }, endless) => {
    const leaf = processes.define('leaf', rerunnable, () => {})
    const handle = await processes.start(leaf, undefined)
    await handle.result()
    while (endless.next() && (await handle.cancel()) === 'already_ended');
  },
}

const others: Record<string, Begin> = {
  'a task that submits itself': ({ tasks }, endless) => {
    tasks.handle('again', async () => {
      if (endless.next()) await tasks.submit({ kind: 'again', payload: '' })
    })
    return tasks.submit({ kind: 'again', payload: '' })
  },
  'a task that calls itself': ({ tasks }, endless) => {
    const self = defineTask('self', {}, (_: unknown, { call }) => (endless.next() ? call('self') : undefined))
    tasks.handle(self)
    return tasks.submit(self, undefined)
  },
  'a caller that submits tasks': async ({ tasks }, endless) => {
    while (endless.next()) await tasks.submit({ kind: 'nobody handles it', payload: '' })
  },
  'an operation that is followed by the next one': (runtime, endless) => {
    const session = runtime.session('main')
    const again = (): void => {
      if (endless.next()) session.run('again', () => {}).outcome.then(again, again)
    }
    again()
  },
  'an operation that starts the next one': (runtime, endless) => {
    const session = runtime.session('main')
    const again = (): void => {
      if (endless.next()) session.run('again', again)
    }
    again()
  },
}

const cases = [
  ...Object.entries({ ...processesThat, ...others }).map(([name, begin]) => [name, begin, mostStarts] as const),
  ...Object.entries(questions).map(([name, begin]) => [name, begin, mostReads] as const),
]

it.each(cases)('%s: starves nobody, in memory or with a journal [P-310]', async (_, begin, most) => {
  for (const store of [undefined, createMemoryJournal()]) {
    const runtime = await createRuntime(store === undefined ? {} : { store })
    const endless = new Endless(most)
    const fired = new Promise<boolean>((resolve) => setTimeout(() => resolve(endless.isExhausted)))
    const begun = Promise.resolve(begin(runtime, endless)).catch(() => {})
    expect(await fired).toBe(false)
    endless.stop()
    await runtime.close({ policy: 'terminate', graceMs: 0 })
    await begun
  }
})

it('who goes on without end under a simulated clock starves nobody either [P-310]', async () => {
  const runtime = await createRuntime({ clock: new SimulatedClock() })
  const endless = new Endless(mostStarts)
  const fired = new Promise<boolean>((resolve) => setTimeout(() => resolve(endless.isExhausted)))
  void processesThat['a process that does steps without end']?.(runtime, endless)
  expect(await fired).toBe(false)
  endless.stop()
  await runtime.close({ policy: 'terminate', graceMs: 0 })
})

it.each(Object.entries(processesThat).slice(0, 2))(
  '%s: is over when the runtime is closed [P-310]',
  async (_, begin) => {
    const runtime = await createRuntime()
    const endless = new Endless(mostStarts)
    await begin(runtime, endless)
    await new Promise((resolve) => setTimeout(resolve))
    await runtime.close({ policy: 'terminate' })
    const { rounds } = endless
    await new Promise((resolve) => setTimeout(resolve))
    expect(endless.isExhausted).toBe(false)
    expect(endless.rounds).toBe(rounds)
  },
)
