/**
 * The acceptance suite once more on the code that services run. Vitest resolves packages under the
 * `development` condition, where XState warns and throws more than in production; NODE_ENV turns it off.
 */
import { defineConfig, mergeConfig } from 'vitest/config'
import base from './vitest.config.js'

process.env['NODE_ENV'] = 'production'

export default mergeConfig(base, defineConfig({ test: { provide: { xstateBuild: 'production' } } }))
