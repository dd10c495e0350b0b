/** What nobody awaits, in the log: docs/cookbook.md. */
// #region shown
import { pino } from 'pino'
import { createRuntime } from 'stateward'

// Fields first, then a line: pino, and every logger of that shape, fits as it is.
const logger = pino({ level: process.env['LOG_LEVEL'] ?? 'info' })
await using runtime = await createRuntime({ logger: logger.child({ part: 'stateward' }) })

// Nobody handles this kind: after a second the log says so, at `warn`.
await runtime.tasks.submit({ kind: 'nobody home' })
await runtime.tasks.start()
await new Promise((resolve) => setTimeout(resolve, 1500))
// #endregion
