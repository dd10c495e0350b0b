import { defineConfig } from 'vitest/config'

const reports = process.env['STATEWARD_TEST_REPORTS']

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Tests start child processes and sync real files: forks give each file its own process to do so.
    pool: 'forks',
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
