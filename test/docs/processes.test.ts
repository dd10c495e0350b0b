import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { methodEffects } from '../../src/processes/watched-store.js'

const page = readFileSync(join(import.meta.dirname, '../../docs/processes.md'), 'utf8')

const said = { event: 'the event', lifecycle: 'its events, with `emitLifecycle`' }

it('the page on processes says of each call what follows for watchers', () => {
  const rows = Object.entries(methodEffects)
    .filter(([, { bumps }]) => bumps !== undefined)
    .map(([name, { emits }]) => `| \`${name}\` | yes | ${emits === undefined ? 'nothing' : said[emits]} |`)
  const table = ['| call | wakes waiters | tells the sink |', '| --- | --- | --- |', ...rows].join('\n')
  expect(page).toContain(`\n${table}\n\n`)
})

it('no call tells the sink without waking those who wait', () => {
  const strange = Object.values(methodEffects).filter(({ bumps, emits }) => bumps === undefined && emits !== undefined)
  expect(strange).toEqual([])
})
