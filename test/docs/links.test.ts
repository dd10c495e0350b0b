import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

function pages(): string[] {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  return ['README.md', 'CHANGELOG.md', ...docs.map((name) => join('docs', name))].filter((name) => name.endsWith('.md'))
}

/** Targets of the links of a page that lead to files of the repository. */
function localLinks(text: string): string[] {
  return Array.from(text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g), ([, target = '']) => target).filter(
    (target) => !/^[a-z]+:/.test(target),
  )
}

it('finds the links of a page that lead to files', () => {
  expect(localLinks('[a](docs/a.md) [b](https://x.example/y) [c](b.md#part) [d](#here) ![e](e.png)')).toEqual([
    'docs/a.md',
    'b.md',
    'e.png',
  ])
})

it.each(pages())('%s links only to files that exist', (page) => {
  const links = localLinks(readFileSync(join(root, page), 'utf8'))
  expect(links.filter((target) => !existsSync(join(root, dirname(page), target)))).toEqual([])
})

it('docs/decisions/README.md lists every decision', () => {
  const folder = join(root, 'docs/decisions')
  const listed = localLinks(readFileSync(join(folder, 'README.md'), 'utf8'))
  const records = readdirSync(folder).filter((name) => /^\d{4}-/.test(name))
  expect(listed).toEqual(records.sort())
})
