/**
 * `npm run docs:screenshots`: pictures of the inspector's page at work on a service that is made for them, for README and docs. Needs a
 * build and Chromium (`STATEWARD_CHROMIUM`, or Debian's).
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { chromium } from 'playwright-core'
import * as v from 'valibot'
import { createRuntime, defineProcess, defineTask } from '../../dist/src/index.js'
import { withPalette } from './palette.mjs'

const pictures = new URL('../../docs/images/', import.meta.url)
mkdirSync(pictures, { recursive: true })

const section = defineTask('section', {}, async (_, { step }) => step('draft', () => 'written'))
const report = defineTask('report', { maxAttempts: 3 }, async (_, { waitFor, call }) => {
  await call(section, { topic: 'cranes' })
  return waitFor('approval')
})
const review = defineProcess(
  'review',
  { disposition: 'rerunnable', signals: { verdict: v.unknown() } },
  (_, { waitFor }) => waitFor('verdict'),
)
const runtime = await createRuntime({
  inspect: { actions: true },
  tasks: { define: [report, section] },
  processes: { define: [review] },
})
const session = runtime.session('agent-1', { maxConcurrent: 6, whenFull: 'queue' })
let open = () => {}
const gate = new Promise((resolve) => (open = resolve))
const fetched = ['fetch docs', 'list files', 'read notes', 'search issues'].map((name, index) =>
  session.run(name, async ({ progress }) => {
    progress(`${index + 1} of 5 pages`, (index + 1) / 5)
    await gate
  }),
)
const all = session.all(fetched)
all.catch(() => {})
await session.run('render page', () => {
  throw new Error('out of paper')
}).outcome
for (const name of ['plan', 'outline']) await session.run(name, () => name).outcome
for (const topic of ['cranes', 'storks']) {
  const { id } = await runtime.tasks.submit(report, { topic }, { key: `report-${topic}`, budgets: { token: 5_000 } })
  await runtime.tasks.submit(section, { topic }, { key: `after-${topic}`, after: [id] })
}
await runtime.processes.start(review, {}, { id: 'review-1' })

const executablePath = process.env['STATEWARD_CHROMIUM'] ?? '/usr/bin/chromium'
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
const url = runtime.inspectorUrl
const screens = [
  ['inspector-work', '#/list', 'dark'],
  ['inspector-chart', '#/machine/operation', 'light', 760],
]
for (const [name, address, colorScheme, height = 620] of screens) {
  const page = await browser.newPage({ viewport: { width: 1100, height }, colorScheme })
  await page.goto(`${url}${address}`)
  await page.locator('main > *').nth(0).waitFor()
  await page.waitForLoadState('networkidle').catch(() => {})
  writeFileSync(new URL(`${name}.png`, pictures), withPalette(await page.screenshot()))
  await page.close()
}
await browser.close()
open()
await runtime.close({ policy: 'terminate' })
