import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { codeBlocksOf } from './support/code-blocks.js'

const root = join(import.meta.dirname, '../..')

/** What the compiler finds wrong in the code of pages, as `page(line,column): error`. */
async function errorsIn(pages: ReadonlyMap<string, string>): Promise<readonly string[]> {
  // Below the root, so that `stateward` is the package itself.
  await mkdir(join(root, 'dist-docs'), { recursive: true })
  const place = await mkdtemp(join(root, 'dist-docs/code-'))
  onTestFinished(() => rm(place, { recursive: true }))
  const names = new Map<string, string>()
  for (const [page, text] of pages) {
    for (const code of codeBlocksOf(text)) {
      const name = `block-${names.size}.ts`
      names.set(name, page)
      await writeFile(join(place, name), code)
    }
  }
  const compilerOptions = { noUnusedLocals: false, noUnusedParameters: false }
  const config = { extends: '../../tsconfig.check.json', compilerOptions, include: ['*.ts'] }
  await writeFile(join(place, 'tsconfig.json'), JSON.stringify(config))
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  const compiling = promisify(execFile)(process.execPath, [compiler, '-p', place], { cwd: place })
  // What the compiler says on its standard error is no report of types: it did not run.
  const failed = ({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): { stdout: string } => {
    if (stdout === '') throw new Error(stderr)
    return { stdout }
  }
  const { stdout } = await compiling.catch(failed)
  const lines = stdout.split('\n').filter((line) => line !== '')
  return lines.map((line) => line.replace(/^block-\d+\.ts/, (name) => names.get(name) ?? name))
}

it('every block of TypeScript in the README and the guides compiles as it stands', async () => {
  const guides = (await readdir(join(root, 'docs'))).filter((name) => name.endsWith('.md'))
  const pages = new Map<string, string>()
  for (const path of ['README.md', ...guides.map((name) => `docs/${name}`)]) {
    pages.set(path, await readFile(join(root, path), 'utf8'))
  }
  // Two blocks that do not: a check that finds nothing may have looked at nothing.
  pages.set('planted.md', '# A page\n\n```ts\nconst one: number = "1"\n```\n')
  pages.set('given.md', '<!-- given\ndeclare const two: string\n-->\n\n```ts\nconst one: number = two\n```\n')
  const errors = await errorsIn(pages)
  expect(errors.toSorted()).toEqual([
    expect.stringMatching(/^given\.md\(6,7\): error TS2322/),
    expect.stringMatching(/^planted\.md\(4,7\): error TS2322/),
  ])
}, 120_000)

it('leaves alone what stands in a file of its own, and what is no TypeScript', () => {
  expect(codeBlocksOf('<!-- from examples/a.ts -->\n```ts\na()\n```\n\n```js\nb()\n```\n')).toEqual([])
  expect(codeBlocksOf('One\n```ts\na()\n```\nTwo\n```ts\nb()\n```\n')).toEqual([
    '\n\na()\nexport {}\n',
    '\n\n\n\n\n\nb()\nexport {}\n',
  ])
})
