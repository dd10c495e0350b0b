import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { buildLibrary } from '../../support/build.js'

const root = join(import.meta.dirname, '..', '..', '..')
const example = join(root, 'examples', 'agent-service')

/** The example compiled beside the library it embeds, as `npm run example:service` does. */
export interface CompiledService {
  start(dataDir: string): Promise<ServiceProcess>
  remove(): Promise<void>
}

/** A running service. */
export interface ServiceProcess {
  readonly url: string
  /** Ends it by a signal; resolves with its exit code and the signal it died of. */
  end(signal: NodeJS.Signals): Promise<readonly [code: number | null, signal: NodeJS.Signals | null]>
}

/** Compiles the example. */
export async function compileService(): Promise<CompiledService> {
  const home = dirname(await buildLibrary())
  const output = await mkdtemp(join(home, 'agent-service-'))
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  await promisify(execFile)(process.execPath, [compiler, '-p', example, '--noCheck', '--outDir', output])
  return {
    start: (dataDir) => startProcess(join(output, 'main.js'), dataDir),
    remove: () => rm(output, { recursive: true }),
  }
}

async function startProcess(program: string, dataDir: string): Promise<ServiceProcess> {
  const child = spawn(process.execPath, [program, '--port', '0', '--data-dir', dataDir], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  const exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  return {
    url: await readUrl(
      child.stdout,
      exited.then(() => complaints),
    ),
    end: (signal) => {
      child.kill(signal)
      return exited
    },
  }
}

/** Rejects with its complaints when the service ends instead. */
async function readUrl(stdout: Readable, failed: Promise<string>): Promise<string> {
  const line = once(createInterface({ input: stdout }), 'line') as Promise<[string]>
  const said = await Promise.race([line.then(([text]) => text), failed])
  const [, url] = /^listening on (\S+)$/.exec(said) ?? []
  if (url === undefined) throw new Error(`the service did not start: ${said}`)
  return url
}
