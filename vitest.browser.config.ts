/** The inspector's page in a real browser. It is served from the build: `npm run test:browser` makes one first. */
import { defineConfig } from 'vitest/config'
import base from './vitest.config.js'

export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ['test/browser/**/*.test.ts'],
    exclude: [],
    fileParallelism: false,
    // A machine that is busy with other things is slow, and nothing here is about speed.
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
})
