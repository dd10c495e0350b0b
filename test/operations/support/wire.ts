import type { RegistryLimits, WireOperationsSnapshot } from '../../../src/operations/index.js'
import { childSource, idOf, openFixture, openRuntime, specOf, type Fixture } from './registry.js'

/** A snapshot that may be written to, as JSON gives it. */
export type Snapshot = {
  -readonly [Key in keyof WireOperationsSnapshot]: WireOperationsSnapshot[Key]
} & Record<string, unknown>

export function captured({ operations }: Fixture): Snapshot {
  return JSON.parse(JSON.stringify(operations.capturePersistenceSnapshot())) as Snapshot
}

/** A session made from the snapshot in a runtime of its own. */
export async function recovered(snapshot: unknown) {
  const runtime = await openRuntime()
  return runtime.importSession('recovered', snapshot)
}

/** Completes operation 1, with a source, and 2; runs 3. */
export async function busy(limits?: RegistryLimits): Promise<Fixture> {
  const fixture = await openFixture(limits)
  const { operations, finish, run, complete } = fixture
  await operations.registerOperation(specOf(1, 'mob_member_child', { operationSource: childSource }))
  await operations.provisioningSucceeded(idOf(1))
  await complete(1)
  await finish(2)
  await run([3])
  return fixture
}
