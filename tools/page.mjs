/** Builds the inspector's page: one script, one style sheet and the document that names them. */
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'rolldown'

const source = fileURLToPath(new URL('../src/inspect/page/', import.meta.url))

/** Returns the names of the packages that have become part of the page. */
export async function buildPage(output) {
  mkdirSync(output, { recursive: true })
  for (const name of ['index.html', 'page.css']) copyFileSync(join(source, name), join(output, name))
  await build({
    input: { page: join(source, 'main.tsx') },
    platform: 'browser',
    resolve: { extensionAlias: { '.js': ['.ts', '.tsx', '.js'] } },
    transform: { target: 'es2022', jsx: { runtime: 'automatic', importSource: 'preact' } },
    output: { dir: output, entryFileNames: '[name].js', minify: true, comments: { legal: false, jsdoc: false } },
    logLevel: 'warn',
  })
  return ['@dagrejs/dagre', '@dagrejs/graphlib', '@preact/signals', '@preact/signals-core', 'preact']
}
