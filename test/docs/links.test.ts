import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

function pages(): string[] {
  const inside = ['decisions', 'docs', 'examples'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  )
  return ['README.md', 'CHANGELOG.md', ...inside].filter((name) => name.endsWith('.md'))
}

/** A page without its code, where a bracket or a number sign means something else. */
function proseOf(page: string): string {
  return readFileSync(join(root, page), 'utf8').replaceAll(/^```[^]*?^```$/gm, '')
}

/** What the headings of a page can be linked to by, as GitHub names them. */
function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of text.matchAll(/^#+ (.*)$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const name = plain.replaceAll(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-')
    let anchor = name
    for (let again = 1; anchors.has(anchor); again += 1) anchor = `${name}-${again}`
    anchors.add(anchor)
  }
  return anchors
}

/** Links of a page to a heading that is not there, in this page or in another. */
function brokenAnchorsOf(page: string): string[] {
  return Array.from(proseOf(page).matchAll(/\]\(((?!\w+:)[^)#\s]*)#([^)\s]+)\)/g))
    .filter(([, target = '', anchor = '']) => {
      const path = target === '' ? page : join(dirname(page), target)
      return path.endsWith('.md') && !anchorsOf(proseOf(path)).has(anchor)
    })
    .map(([, target = '', anchor = '']) => `${target}#${anchor}`)
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
  expect(brokenAnchorsOf(page)).toEqual([])
})

it('names headings as GitHub does', () => {
  const page = '# Who may ask?\n## `step`, [and](a.md) so on\n### Is it so? 1.5\n## Who may ask?\n'
  expect([...anchorsOf(page)]).toEqual(['who-may-ask', 'step-and-so-on', 'is-it-so-15', 'who-may-ask-1'])
})

it('decisions/README.md lists every decision', () => {
  const folder = join(root, 'decisions')
  const listed = localLinks(readFileSync(join(folder, 'README.md'), 'utf8'))
  const records = readdirSync(folder).filter((name) => /^\d{4}-/.test(name))
  expect(listed).toEqual(records.sort())
})
