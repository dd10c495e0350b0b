/** The package as it would be published, on every line of Node that is supported, and its types with every compiler; fetches both. */
import { defineConfig } from 'vitest/config'
import base from './vitest.config.js'

export default defineConfig({
  ...base,
  test: { ...base.test, include: ['test/supported/**/*.test.ts'], exclude: [], testTimeout: 90_000 },
})
