/** What of compiled declarations becomes files that are published; the tests that compile what a user writes use the same. */
import { createRequire, Module } from 'node:module'
import { join } from 'node:path'
import { rollup } from 'rollup'
import { entryPoints } from './bundle.mjs'

/** They matter for code alone: declarations are never run, so that a cycle has no order to get wrong. */
const harmless = new Set(['CYCLIC_CROSS_CHUNK_REEXPORT', 'CIRCULAR_DEPENDENCY'])
/** Types that are used and not exported: a user meets them and has no name for them, as it was in the modules. */
const unnamed = 'references private shared type exports'

/**
 * Bundles the declarations of a folder as `bundle` does with the code: one file for every entry point, and what several of them
 * use in chunks beside them, so that every type is declared once. Only what an entry point exports or uses is kept, with its
 * comments.
 */
export async function bundleDeclarations(compiled, output) {
  const { dts } = await importPlugin()
  const bundled = await rollup({
    input: Object.fromEntries(entryPoints.map((module) => [module, join(compiled, `${module}.d.ts`)])),
    external: (id) => !/^[./]/.test(id),
    plugins: [dts(), { name: 'indentation', renderChunk: (text) => text.replaceAll(/^(?: {4})+/gm, tabs) }],
    onwarn: ({ code, message }) => {
      if (!harmless.has(code) && !message.includes(unnamed)) throw new Error(`bundling the declarations: ${message}`)
    },
  })
  await bundled.write({
    dir: output,
    entryFileNames: '[name].d.ts',
    chunkFileNames: ({ name }) => `chunks/${name.replace(/\.d$/, '')}-[hash].d.ts`,
  })
  await bundled.close()
}

/** Four spaces for every level are a twentieth of the whole. */
const tabs = (spaces) => '\t'.repeat(spaces.length / 4)

/** The plugin walks syntax trees with the compiler as a library, which TypeScript 7 is not; it is given the last one that was. */
async function importPlugin() {
  const require = createRequire(import.meta.url)
  const library = Object.assign(new Module('typescript'), { exports: require('typescript6'), loaded: true })
  require.cache[require.resolve('typescript')] = library
  return import('rollup-plugin-dts')
}
