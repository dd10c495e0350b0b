/**
 * A service that runs operations in two sessions until it is killed: `service.js DIRECTORY SEED`. It says, one line
 * each, `epoch SESSION EPOCH`, `lost SESSION ID`, `started SESSION ID`, `ended SESSION ID TYPE` for every handle that
 * settled, `row SESSION SEQUENCE ID` for every row of a feed, and `broken MESSAGE` for what must not happen. The seed
 * decides what the operations do, when snapshots are written, and whether the service kills itself within a file
 * operation.
 */
import { writeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createUuidSource } from '../../../src/base/ids.js'
import type { WorkContext } from '../../../src/operations/execution.js'
import { createDirectoryJournal } from '../../../src/journal/directory-journal.js'
import { createRuntime } from '../../../src/runtime.js'
import type { Session } from '../../../src/operations/session.js'
import { createDice, mortalFileSystem } from '../../journal/support/mortal-file-system.js'

const [directory = '', seed = '0'] = process.argv.slice(2)
const say = (...words: readonly unknown[]): void => void writeSync(1, `${words.join(' ')}\n`)

const upTo = createDice(Number(seed))
const fileSystem = mortalFileSystem(upTo(2) === 0 ? 3 + upTo(60) : Number.POSITIVE_INFINITY, upTo)

async function task({ signal, progress }: WorkContext): Promise<unknown> {
  const kind = upTo(6)
  progress('working', 0.5)
  for (let turn = upTo(3); turn > 0; turn -= 1) await nextTurn()
  if (kind === 0) throw new Error('broken')
  if (kind === 1)
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  return 'x'.repeat(upTo(200))
}

async function work(session: Session): Promise<void> {
  for (;;) {
    const kind = upTo(10) === 0 ? 'background_tool_capacity_slot' : 'background_tool_op'
    const { id, outcome, cancel } = session.run({ kind, displayName: 'work' }, task)
    if (kind === 'background_tool_op') say('started', session.id, id)
    // A task that waits for it is cancelled; for the others this is refused or comes first, by chance.
    await nextTurn()
    if (upTo(3) > 0) cancel('enough').catch(() => {})
    else await nextTurn()
    const late = setTimeout(() => void cancel('late').catch(() => {}), 2)
    const { type } = await outcome
    clearTimeout(late)
    if (kind === 'background_tool_op') say('ended', session.id, id, type)
    if (upTo(20) === 0) await session.operations.collectCompleted()
  }
}

async function follow(session: Session): Promise<void> {
  for await (const { seq, operationId } of session.feed.entries({ after: session.feed.watermark() })) {
    say('row', session.id, seq, operationId)
    session.operations.advanceCompletionCursor('runtime_observed', seq)
  }
}

async function barriers(session: Session): Promise<void> {
  const ids = createUuidSource({ now: () => Date.now() })
  for (;;) {
    const live = session.operations.listOperations().filter(({ terminal }) => !terminal)
    await session.waitAll(
      ids.uuid(),
      live.slice(0, 3).map(({ id }) => id),
    )
    await nextTurn()
  }
}

const store = createDirectoryJournal({ directory, fileSystem, segmentBytes: 64 * 1024 })
const runtime = await createRuntime({ store, compactAfter: 40 + upTo(200) })
for (const name of ['one', 'two']) {
  const session = runtime.session(name, { maxCompleted: 4096 })
  say('epoch', name, session.epochId)
  for (const { id } of session.lost) say('lost', name, id)
  if (upTo(3) === 0) session.forgetLost()
  const running = [follow(session), barriers(session), ...Array.from({ length: 1 + upTo(4) }, () => work(session))]
  Promise.all(running).catch((error: unknown) => say('broken', String(error)))
}
