/** The package as it would be published, on every line of Node that is supported; fetches their binaries. */
import { defineConfig } from 'vitest/config'
import base from './vitest.config.js'

export default defineConfig({
  ...base,
  test: { ...base.test, include: ['test/nodes/**/*.test.ts'], exclude: [], testTimeout: 90_000 },
})
