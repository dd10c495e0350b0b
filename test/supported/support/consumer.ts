import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../../..')

/** A project of somebody else, who has installed the package as it would be published. */
export interface Consumer extends AsyncDisposable {
  readonly place: string
  /** Runs a program there with a given Node; resolves with what it printed. */
  run(node: string, ...args: readonly string[]): Promise<string>
  /** Has the shell do one line in a folder, where `node` is the given one; resolves with the lines that it printed. */
  shell(node: string, folder: string, line: string): Promise<readonly string[]>
  /** What installing has put on the disk, in whole blocks. */
  installedBytes(): Promise<number>
}

/** Packs the package, installs it into a new project, and puts the compiled examples beside it. */
export async function createConsumer(): Promise<Consumer> {
  const place = await mkdtemp(join(tmpdir(), 'stateward-nodes-'))
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', place], { cwd: root })
  const tarball = stdout.trim().split('\n').at(-1) ?? ''
  await writeFile(join(place, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }')
  await run('npm', ['install', '--no-audit', '--no-fund', '--omit=dev', `./${tarball}`], { cwd: place })
  const installed = await filesIn(join(place, 'node_modules'))
  await compileExamples(place)
  return {
    place,
    run: async (node, ...args) => {
      const { stdout: printed } = await run(node, args, { cwd: place, timeout: 60_000 })
      return printed
    },
    shell: async (node, cwd, line) => {
      const env = { ...process.env, PATH: `${dirname(node)}:${process.env['PATH']}` }
      const { stdout: printed } = await run('sh', ['-c', line], { cwd, env, timeout: 60_000 })
      return printed.split('\n').filter((one) => one !== '')
    },
    installedBytes: () => bytesOf(installed),
    [Symbol.asyncDispose]: () => rm(place, { recursive: true, force: true }),
  }
}

async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

async function bytesOf(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => Math.ceil((await stat(file)).size / 4096) * 4096))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** The examples as a reader would compile them, against the installed package. */
async function compileExamples(place: string): Promise<void> {
  const sources = join(place, 'examples')
  await cp(join(root, 'examples'), sources, { recursive: true })
  await mkdir(join(place, 'node_modules/@types'), { recursive: true })
  await symlink(join(root, 'node_modules/@types/node'), join(place, 'node_modules/@types/node'))
  await symlink(join(root, 'node_modules/undici-types'), join(place, 'node_modules/undici-types'))
  const config = JSON.parse(await readFile(join(root, 'tsconfig.json'), 'utf8')) as { compilerOptions: object }
  const compilerOptions = {
    ...config.compilerOptions,
    rootDir: 'examples',
    outDir: 'out',
    declaration: false,
    declarationMap: false,
  }
  await writeFile(
    join(place, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, include: ['examples/quick-start.ts', 'examples/tasks'] }),
  )
  await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', place], { cwd: place })
}
