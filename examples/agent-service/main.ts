/** `node main.js [--port 8787] [--data-dir .stateward/agent-service]` */
import { parseArgs } from 'node:util'
import { createRuntime, type Logger } from 'stateward'
import { startAgentService } from './server.js'

const log =
  (level: string) =>
  (fields: object, message: string): void => {
    process.stderr.write(`${JSON.stringify({ level, message, ...fields })}\n`)
  }

const logger: Logger = { debug: () => {}, info: log('info'), warn: log('warn'), error: log('error') }

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '8787' },
      'data-dir': { type: 'string', default: '.stateward/agent-service' },
    },
  })
  const runtime = await createRuntime({ dataDir: values['data-dir'], logger })
  const service = await startAgentService({ runtime, port: Number(values.port), logger }).catch(
    async (error: unknown) => {
      await runtime.close()
      throw error
    },
  )
  process.stdout.write(`listening on ${service.url}\n`)
  // The process is not ended explicitly: it ends once nothing is left to do. A second signal is not caught.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void service.close().catch(fail('the service did not stop in order')))
  }
}

function fail(message: string) {
  return (error: unknown): void => {
    logger.error({ error: error instanceof Error ? error.stack : String(error) }, message)
    process.exitCode = 1
  }
}

await main().catch(fail('the service did not start'))
