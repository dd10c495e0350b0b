import { createRuntime, type Runtime } from '../../src/runtime.js'

/** What every runtime here handles, without doing anything. */
export const emptyKind = 'empty'

/** A whole runtime with an empty handler; in memory without a directory. */
export async function openEmpty(options: {
  readonly directory?: string
  readonly concurrency?: number
  readonly handles?: boolean
}): Promise<Runtime> {
  const { directory, concurrency = 256, handles = true } = options
  const runtime = await createRuntime({
    tasks: { concurrency },
    // Snapshots come when the bench asks for them.
    ...(directory !== undefined && { dataDir: directory, compactAfter: 1_000_000_000 }),
  })
  if (handles) runtime.tasks.handle(emptyKind, () => undefined)
  return runtime
}

/** Submits a task without payload that runs once, and waits until it has completed, durably. */
export async function runOnce({ tasks }: Runtime): Promise<void> {
  const { status } = await tasks.outcome(await tasks.submit({ kind: emptyKind }))
  if (status !== 'completed') throw new Error(`a task ended ${status}`)
}

/** Runs so many tasks, some at a time. */
export async function runMany(runtime: Runtime, count: number, atATime = 512): Promise<void> {
  let begun = 0
  const loop = async (): Promise<void> => {
    while (begun < count) {
      begun += 1
      await runOnce(runtime)
    }
  }
  await Promise.all(Array.from({ length: atATime }, loop))
}

/** Submits so many tasks, some at a time. */
export async function submitMany({ tasks }: Runtime, count: number, atATime = 512): Promise<void> {
  for (let submitted = 0; submitted < count; submitted += atATime) {
    const wanted = Math.min(atATime, count - submitted)
    await Promise.all(Array.from({ length: wanted }, () => tasks.submit({ kind: emptyKind })))
  }
}
