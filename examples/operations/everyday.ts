/** Starting, following, cancelling and waiting: the everyday API of docs/operations.md. */
// #region shown
import { setTimeout as delay } from 'node:timers/promises'
import { createRuntime, sessionSelectors, StatewardError } from 'stateward'

await using runtime = await createRuntime()
const session = runtime.session('everyday', { maxConcurrent: 3 })

const build = session.run(
  { kind: 'background_tool_op', displayName: 'build' },
  async ({ signal, progress }) => {
    progress('compiling', 0.2)
    await delay(20, undefined, { signal })
    return { files: 12 }
  },
  { deadlineMs: 60_000 },
)
const search = session.run({ kind: 'background_tool_op', displayName: 'search' }, ({ signal }) =>
  delay(60_000, 'never', { signal }),
)
const lint = session.run({ kind: 'background_tool_op', displayName: 'lint' }, () => {
  throw new Error('3 problems')
})
const fourth = session.run({ kind: 'background_tool_op', displayName: 'one too many' }, () => 'unused')

const refusal = await fourth.outcome.catch((error: unknown) => error)
if (StatewardError.is(refusal)) console.log(refusal.code, refusal.data)

await search.cancel('found it elsewhere')

for (const handle of [build, search, lint]) console.log(await handle.outcome)
console.log(sessionSelectors.ended(session.view).map(({ displayName, status }) => `${displayName}: ${status}`))
// #endregion
