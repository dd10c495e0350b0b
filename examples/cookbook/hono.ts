/** A service with Hono that shuts down without losing anything: docs/cookbook.md. */
// #region shown
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { report, runtime } from './reports.js'

const app = new Hono()
app.post('/reports/:topic', async (context) => {
  const topic = context.req.param('topic')
  const { id } = await runtime.tasks.submit(report, topic, { key: topic })
  return context.json({ id }, 202)
})

const port = Number(process.env['PORT'] ?? 8787)
const server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, (address) => console.log(address))

process.once('SIGTERM', () => {
  server.close(() => void runtime.close({ graceMs: 10_000 }).then(() => console.log('closed')))
})
// #endregion
