/** A service with Express that shuts down without losing anything: docs/cookbook.md. */
// #region shown
import express from 'express'
import { report, runtime } from './reports.js'

const app = express()
app.post('/reports/:topic', async ({ params }, response) => {
  // Respond once the task is on disk. From here on it will be done, whatever happens to this process.
  const { id } = await runtime.tasks.submit(report, params.topic, { key: params.topic })
  response.status(202).json({ id })
})

const server = app.listen(Number(process.env['PORT'] ?? 8787), '127.0.0.1', () => console.log(server.address()))

process.once('SIGTERM', () => {
  // Refuse new requests and answer those in progress. Then tasks have ten seconds, and continue in the next process.
  server.close(() => void runtime.close({ graceMs: 10_000 }).then(() => console.log('closed')))
})
// #endregion
