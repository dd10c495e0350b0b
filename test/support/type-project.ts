import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { bundleDeclarations } from '../../tools/declarations.mjs'

const root = join(import.meta.dirname, '../..')
const installed = join(root, 'node_modules')
const run = promisify(execFile)

/** The compiler that the project itself uses. */
export const ownCompiler = join(installed, 'typescript')

/** The project of somebody else, who has the package as it is published and libraries of schemas, and code in TypeScript. */
export interface TypeProject extends AsyncDisposable {
  /** What a compiler, by the folder of its package, finds wrong in that code and in `more`: `entries.ts` imports everything. */
  errorsOf(compiler: string, exactOptionalPropertyTypes: boolean, ...more: string[]): Promise<readonly string[]>
}

const strict = ['--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2022', '--module', 'nodenext']
const environment = ['--lib', 'es2023,esnext.disposable', '--types', 'node']

/**
 * The declarations of XState do not hold `exactOptionalPropertyTypes`, those of MCP's SDK ask for the ones of a browser: not ours to
 * mend.
 */
const fromOthers = /[\\/](xstate|@modelcontextprotocol)[\\/]/

/** Code that imports whatever can be imported of the package. */
async function everyImport(): Promise<string> {
  const { exports } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { exports: object }
  const names = Object.keys(exports).filter((name) => !name.endsWith('.json'))
  return names
    .map((name, index) => `export type * as entry${index} from '${name.replace('.', 'stateward')}'\n`)
    .join('')
}

/** Compiles the declarations of the package and sets up the project beside them. */
export async function createTypeProject(): Promise<TypeProject> {
  const place = await mkdtemp(join(tmpdir(), 'stateward-types-'))
  const home = join(place, 'node_modules', 'stateward')
  await mkdir(home, { recursive: true })
  await copyFile(join(root, 'package.json'), join(home, 'package.json'))
  await writeFile(join(place, 'package.json'), '{ "type": "module" }')
  await symlink(installed, join(home, 'node_modules'))
  for (const name of ['@types', '@ark', 'arktype', 'valibot', 'zod']) {
    await symlink(join(installed, name), join(place, 'node_modules', name))
  }
  const sources = join(import.meta.dirname, 'types')
  for (const name of await readdir(sources)) await copyFile(join(sources, name), join(place, name))
  await writeFile(join(place, 'entries.ts'), await everyImport())
  const compile = async (compiler: string, flags: readonly string[]): Promise<string> => {
    // What it says on its standard error is no report of types: it did not run.
    const failed = ({ stdout: report, stderr }: { readonly stdout?: string; readonly stderr?: string }) => ({
      stdout: report === undefined || report === '' ? `the compiler did not run: ${stderr}` : report,
    })
    const { stdout } = await run(process.execPath, [join(compiler, 'bin', 'tsc'), ...flags], { cwd: place }).catch(
      failed,
    )
    return stdout
  }
  const declarations = ['--emitDeclarationOnly', '--declarationMap', 'false', '--sourceMap', 'false']
  const modules = join(place, 'modules')
  await compile(ownCompiler, ['-p', root, '--outDir', modules, ...declarations])
  await bundleDeclarations(modules, join(home, 'dist'))
  return {
    errorsOf: async (compiler, exact, ...more) => {
      const flags = [...strict, ...environment, '--exactOptionalPropertyTypes', String(exact)]
      const output = await compile(compiler, [...flags, 'tasks.ts', 'libraries.ts', ...more])
      // What belongs to an error is indented below it.
      return output.split('\n').filter((line) => /^\S/.test(line) && !fromOthers.test(line))
    },
    [Symbol.asyncDispose]: () => rm(place, { recursive: true }),
  }
}
