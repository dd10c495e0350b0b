import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runtimeOptionsSchema } from '../../src/runtime-options.js'

const root = join(import.meta.dirname, '../..')
const guides = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]
const text = guides.map((path) => readFileSync(join(root, path), 'utf8')).join('\n')

/** What a schema is made of, as far as it leads to the names of options. */
interface Schema {
  readonly entries?: Readonly<Record<string, Schema>>
  readonly wrapped?: Schema
  readonly pipe?: readonly Schema[]
}

/** The names of all options that a schema of options takes, those of options within options too. */
function namesIn({ entries = {}, wrapped, pipe = [] }: Schema): string[] {
  const within = [...Object.values(entries), ...(wrapped === undefined ? [] : [wrapped]), ...pipe.slice(1)]
  return [...Object.keys(entries), ...within.flatMap(namesIn)]
}

it('the guides mention every option of a runtime', () => {
  const names = new Set(namesIn(runtimeOptionsSchema as Schema))
  expect([...names]).toEqual(expect.arrayContaining(['compactAfter', 'random', 'cooperationMs', 'endedForMs']))
  expect([...names].filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([])
})

it.each([
  ['a task that repeats at times', /type: 'cron'/],
  ['a task that repeats', /type: 'repeat'/],
  [
    'how many attempts a task has unless told otherwise',
    /maxAttempts`?[^.|]{0,40}(default|1 unless|is 1)|one attempt (by|unless)/i,
  ],
  ['a suspension', /return suspend\(/],
  ['a run that goes on from where it was suspended', /resumeFrom\)/],
  ['a task that an event releases', /tasks\.subscribe\(|releasedBy/],
])('the guides show %s', (_, shown) => {
  expect(text).toMatch(shown)
})
