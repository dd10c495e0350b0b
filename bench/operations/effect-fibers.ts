import { Deferred, Effect, Exit, Fiber, FiberMap, Scope } from 'effect'
import type { Arrangement } from '../operations.js'

interface Latches {
  readonly start: Deferred.Deferred<void>
  readonly finish: Deferred.Deferred<string>
}

/** Effect 4: one fiber per operation in a FiberMap; the fiber waits for its start and its result. */
export function effectFibers(): Arrangement {
  const scope = Effect.runSync(Scope.make())
  const fibers = Effect.runSync(Scope.provide(scope)(FiberMap.make<string, string>()))
  const latches = new Map<string, Latches>()
  const feed: { seq: number; id: string; content: string }[] = []
  const watches: Promise<string>[] = []
  return {
    register(id) {
      const start = Deferred.makeUnsafe<void>()
      const finish = Deferred.makeUnsafe<string>()
      latches.set(id, { start, finish })
      const work = Effect.andThen(Deferred.await(start), Deferred.await(finish))
      const fiber = Effect.runSync(FiberMap.run(fibers, id, work))
      watches.push(Effect.runPromise(Fiber.join(fiber)))
    },
    finish(id) {
      const latch = latches.get(id)
      if (latch === undefined) throw new Error(`unknown ${id}`)
      Effect.runSync(Deferred.succeed(latch.start, undefined))
      Effect.runSync(Deferred.succeed(latch.finish, 'done'))
      latches.delete(id)
      feed.push({ seq: feed.length + 1, id, content: 'done' })
    },
    settled: async () => {
      await Promise.all(watches)
      await Effect.runPromise(Scope.close(scope, Exit.void))
    },
  }
}
