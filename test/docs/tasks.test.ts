import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { commandTypes, eventTypes } from '../../src/tasks/index.js'
import { refusalCodes } from '../../src/tasks/errors.js'

const page = readFileSync(new URL('../../docs/tasks.md', import.meta.url), 'utf8')

it('docs/tasks.md names every command, event and refusal of the task authority', () => {
  const names = [...commandTypes, ...eventTypes, ...refusalCodes]
  expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
})
