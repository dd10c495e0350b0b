import { configDefaults, defineConfig } from 'vitest/config'

const reports = process.env['STATEWARD_TEST_REPORTS']

const source = (path: string): string => new URL(path, import.meta.url).pathname

export default defineConfig({
  // Examples import the package by name; here that means the sources, so that no build is needed.
  resolve: {
    alias: [
      { find: /^stateward$/, replacement: source('src/index.ts') },
      { find: /^stateward\/machines$/, replacement: source('machines/index.ts') },
      { find: /^stateward\/tasks$/, replacement: source('src/tasks/public.ts') },
      { find: /^stateward\/processes$/, replacement: source('src/processes/public.ts') },
      { find: /^stateward\/postgres$/, replacement: source('src/postgres-stores.ts') },
      { find: /^stateward\/mcp\/v1$/, replacement: source('src/mcp/v1/index.ts') },
      { find: /^stateward\/(http|inspect|mcp|restate|testing)$/, replacement: source('src/$1/index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/search-seed.ts'],
    // They need what this suite does not: other versions of Node and of the compiler (`npm run test:supported`), a browser
    // (`npm run test:browser`), the official suite of MCP (`npm run test:mcp`), or a server (`npm run test:restate`).
    exclude: [...configDefaults.exclude, 'test/{supported,browser,restate}/**', 'test/mcp/conformance/**'],
    // Tests start child processes and sync real files: forks give each file its own process to do so.
    pool: 'forks',
    // The files of one process share the modules that they import: reading them anew cost a third of the whole time.
    isolate: false,
    // Left to itself vitest keeps one processor free, which of two is half of them.
    maxWorkers: '100%',
    testTimeout: 20_000,
    hookTimeout: 20_000,
    provide: { xstateBuild: 'development' },
    // A folder for machine-readable results, one file per run; .ci/run adds them up.
    reporters: reports === undefined ? ['default'] : ['default', 'json'],
    ...(reports !== undefined && { outputFile: { json: `${reports}/${process.pid}.json` } }),
    coverage: { provider: 'v8', include: ['machines/**', 'actors/**', 'src/**'], reporter: ['text-summary', 'html'] },
  },
})

declare module 'vitest' {
  export interface ProvidedContext {
    /** Which build of XState this run is meant to load; `test/xstate-build.test.ts` checks it. */
    readonly xstateBuild: 'development' | 'production'
  }
}
