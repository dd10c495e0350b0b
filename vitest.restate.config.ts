/** Processes on a Restate server, which is fetched the first time; workers and the server are killed on the way. */
import { defineConfig } from 'vitest/config'
import base from './vitest.config.js'

export default defineConfig({
  ...base,
  // One server at a time: what is measured is takeover, not the machine.
  test: {
    ...base.test,
    include: ['test/restate/**/*.test.ts'],
    exclude: [],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: 1,
  },
})
