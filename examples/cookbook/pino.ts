/** What nobody awaits, in the log: docs/cookbook.md. */
// #region shown
import { pino } from 'pino'
import { createRuntime } from 'stateward'

// Fields first, then a message: pino and loggers of the same shape work as they are.
const logger = pino({ level: process.env['LOG_LEVEL'] ?? 'info' })
await using runtime = await createRuntime({ logger: logger.child({ part: 'stateward' }) })

// No handler is registered for this kind. After a second the log says so, at `warn`.
await runtime.tasks.submit({ kind: 'nobody home' })
await runtime.tasks.start()
await new Promise((resolve) => setTimeout(resolve, 1500))
// #endregion
