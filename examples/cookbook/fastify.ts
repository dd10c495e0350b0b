/** A service with Fastify that shuts down without losing anything: docs/cookbook.md. */
// #region shown
import fastify from 'fastify'
import { report, runtime } from './reports.js'

const app = fastify()
app.post<{ Params: { topic: string } }>('/reports/:topic', async ({ params }, reply) => {
  const { id } = await runtime.tasks.submit(report, params.topic, { key: params.topic })
  return reply.code(202).send({ id })
})
// Runs when the last request has been answered.
app.addHook('onClose', () => runtime.close({ graceMs: 10_000 }))

await app.listen({ port: Number(process.env['PORT'] ?? 8787), host: '127.0.0.1' })
console.log(app.server.address())

process.once('SIGTERM', () => void app.close().then(() => console.log('closed')))
// #endregion
