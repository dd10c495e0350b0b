/**
 * What meets XState once more on the code that services run. Vitest resolves packages under the
 * `development` condition, where XState warns and throws more than in production; NODE_ENV turns it off.
 * The rest of the suite runs nothing of XState, or the same of it as what is named here.
 */
import { configDefaults, defineConfig } from 'vitest/config'
import base from './vitest.config.js'

process.env['NODE_ENV'] = 'production'

const withXState = [
  'test/xstate-build.test.ts',
  'test/{inspect,machines,operations,runtime}/**/*.test.ts',
  'test/testing/{chart-walks,operations}.test.ts',
  'test/work/job.test.ts',
  // Rows of tasks are moved by charts; the dispatcher and the engine have one each.
  'test/tasks/{attempt-steps,engine,one-legality,random-commands,run-commands}.test.ts',
  'test/tasks/dispatch/{one-legality,recovery,workflow}.test.ts',
]

/** Killed processes and bad input are the same on either build. */
const withoutXState = ['test/runtime/{doors,kill}.test.ts']

export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: withXState,
    exclude: [...configDefaults.exclude, ...withoutXState],
    provide: { xstateBuild: 'production' },
  },
})
