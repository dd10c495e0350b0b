/**
 * The acceptance suite once more on the code that services run. Vitest resolves packages under the
 * `development` condition, where XState warns and throws more than in production; NODE_ENV turns it off.
 * Left out is what never meets XState.
 */
import { configDefaults, defineConfig, mergeConfig } from 'vitest/config'
import base from './vitest.config.js'

process.env['NODE_ENV'] = 'production'

const withoutXState = ['test/{base,bench,ci,docs,journal,lane,package,state}/**', 'test/architecture.test.ts']

export default mergeConfig(
  base,
  defineConfig({
    test: { provide: { xstateBuild: 'production' }, exclude: [...configDefaults.exclude, ...withoutXState] },
  }),
)
