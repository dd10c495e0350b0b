import { join } from 'node:path'
import Database from 'libsql'

/** Jobs in a table, as a service would keep them by hand. */
export interface SqliteLoop {
  /** Writes a job down, runs it, and writes its end down; resolves once that is on stable storage. */
  runOnce(): Promise<void>
  /** The same for a job that consists of steps, each of which is a row before the next one begins. */
  runSteps(steps: number): Promise<void>
  close(): void
}

/**
 * The loop to be held against: what is to be written in one turn of the event loop shares a transaction, synced when it
 * ends (FULL). It has no leases, fencing, retries or budgets, and nobody is told of anything.
 */
export function openSqliteLoop(directory: string, work: () => void | Promise<void>): SqliteLoop {
  const database = new Database(join(directory, 'jobs.db'))
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.exec('CREATE TABLE jobs (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, status TEXT NOT NULL, at INTEGER)')
  database.exec('CREATE TABLE steps (job INTEGER, step INTEGER, output TEXT, PRIMARY KEY (job, step)) WITHOUT ROWID')
  const insert = database.prepare("INSERT INTO jobs (id, kind, status, at) VALUES (?, 'empty', 'queued', ?)")
  const complete = database.prepare("UPDATE jobs SET status = 'completed', at = ? WHERE id = ?")
  const insertStep = database.prepare('INSERT INTO steps (job, step, output) VALUES (?, ?, ?)')
  let queue: { readonly write: () => void; readonly resolve: () => void }[] = []
  let lastId = 0
  const commit = (): void => {
    const batch = queue
    queue = []
    database.exec('BEGIN')
    for (const { write } of batch) write()
    database.exec('COMMIT')
    for (const { resolve } of batch) resolve()
  }
  const durably = (write: () => void): Promise<void> =>
    new Promise((resolve) => {
      if (queue.length === 0) setImmediate(commit)
      queue.push({ write, resolve })
    })
  const run = async (steps: number): Promise<void> => {
    lastId += 1
    const id = lastId
    await durably(() => insert.run(id, Date.now()))
    if (steps === 0) await work()
    for (let step = 0; step < steps; step += 1) {
      await work()
      await durably(() => insertStep.run(id, step, '"done"'))
    }
    await durably(() => complete.run(Date.now(), id))
  }
  return {
    runOnce: () => run(0),
    runSteps: run,
    close: () => void database.close(),
  }
}
