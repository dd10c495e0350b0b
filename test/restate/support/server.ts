import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fetchPackage } from '../../supported/support/fetch-package.js'

/** The server that is tested against; its licence is its own, and it is no dependency. */
const serverVersion = '1.7.12'

/**
 * A Restate server of its own, on loopback, that tells nobody of itself. What it has written outlives its being killed; it does
 * not wait for the disk, which only a host that loses its power makes a difference to.
 */
export interface RestateServer extends AsyncDisposable {
  readonly ingress: string
  readonly admin: string
  /** Kills it as a failing host does, and starts it again on what it has written. */
  restart(): Promise<void>
  /** Seconds of processor time that it has used. */
  cpuSeconds(): Promise<number>
}

/** Starts a server; fetched from the package registry the first time. */
export async function startRestateServer(): Promise<RestateServer> {
  const home = await mkdtemp(join(tmpdir(), 'stateward-restate-'))
  const [ingressPort = 0, adminPort = 0, nodePort = 0] = await freePorts(3)
  const ingress = `http://127.0.0.1:${ingressPort}`
  const admin = `http://127.0.0.1:${adminPort}`
  const configuration = join(home, 'restate.toml')
  await writeFile(configuration, configurationOf(join(home, 'data'), ingressPort, adminPort, nodePort))
  const binary = await serverBinary()
  let child = await started()
  return {
    ingress,
    admin,
    async restart() {
      await killed(child)
      child = await started()
    },
    cpuSeconds: () => cpuSecondsOf(child.pid ?? 0),
    async [Symbol.asyncDispose]() {
      await killed(child)
      await rm(home, { recursive: true, force: true })
    },
  }

  async function started(): Promise<ChildProcess> {
    const env = { PATH: process.env['PATH'], HOME: home, DO_NOT_TRACK: '1' }
    const server = spawn(binary, ['--config-file', configuration, '--no-logo'], { env, stdio: 'ignore' })
    const reap = (): void => void server.kill('SIGKILL')
    process.once('exit', reap)
    server.once('exit', () => process.off('exit', reap))
    await answering(`${admin}/health`, server)
    await answering(`${ingress}/restate/health`, server)
    return server
  }
}

/** The program, of the package for this system. */
async function serverBinary(): Promise<string> {
  const system = `${process.platform}-${process.arch}`
  const folder = await fetchPackage(`@restatedev/restate-server-${system}`, serverVersion)
  const binary = join(folder, 'bin', 'restate-server')
  await chmod(binary, 0o755)
  return binary
}

function configurationOf(directory: string, ingress: number, admin: number, node: number): string {
  return `
roles = ["http-ingress", "admin", "worker", "log-server", "metadata-server"]
node-name = "test"
cluster-name = "test"
auto-provision = true
base-dir = "${directory}"
listen-mode = "tcp"
bind-address = "127.0.0.1:${node}"
advertised-address = "http://127.0.0.1:${node}/"
disable-telemetry = true
default-num-partitions = 2
rocksdb-total-memory-size = "128 MiB"
log-filter = "warn"
[bifrost.local]
rocksdb-disable-wal-fsync = true
[log-server]
rocksdb-disable-wal-fsync = true
[ingress]
bind-address = "127.0.0.1:${ingress}"
advertised-address = "http://127.0.0.1:${ingress}/"
[admin]
bind-address = "127.0.0.1:${admin}"
advertised-address = "http://127.0.0.1:${admin}/"
disable-web-ui = true
`
}

/** Ports that nobody has now: the server must have the same ones again after it was killed. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return ports
}

async function answering(url: string, server: ChildProcess): Promise<void> {
  for (;;) {
    if (server.exitCode !== null || server.signalCode !== null) throw new Error('the Restate server ended')
    try {
      if ((await fetch(url)).ok) return
    } catch {
      // Not yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Kills a child for good. */
export async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

/** Seconds of processor time that a process has used. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
