/** The conformance suite of the Model Context Protocol against a server of our tools; fetches it, and a Node that it runs on. */
import { defineConfig } from 'vitest/config'
import base from './vitest.config.js'

export default defineConfig({
  ...base,
  test: { ...base.test, include: ['test/mcp/conformance/**/*.test.ts'], exclude: [] },
})
