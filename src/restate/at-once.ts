import * as restate from '@restatedev/restate-sdk'

/** Requests to the engine, as functions that return its own promises. */
export type Asks = readonly (() => PromiseLike<unknown>)[]

/** The answers to requests, in their order. */
export type Answers<Asked extends Asks> = { -readonly [Index in keyof Asked]: Awaited<ReturnType<Asked[Index]>> }

/** How many requests are made at once. The engine's library looks at all of them whenever one is answered. */
const most = 32

/**
 * Makes requests to the engine at once, so that they cost one round trip instead of one each. They are recorded in
 * their order.
 */
export async function atOnce<const Asked extends Asks>(...asks: Asked): Promise<Answers<Asked>> {
  const answers: unknown[] = []
  for (let next = 0; next < asks.length; next += most) {
    const asked = asks.slice(next, next + most).map((ask) => ask() as restate.RestatePromise<unknown>)
    answers.push(...(await restate.RestatePromise.all(asked)))
  }
  return answers as Answers<Asked>
}
