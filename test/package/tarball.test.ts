import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
/** What `npm publish` would send, by path. */
const files = new Map<string, number>()

beforeAll(async () => {
  const flags = ['pack', '--dry-run', '--json', '--ignore-scripts']
  const { stdout } = await promisify(execFile)('npm', flags, { cwd: root, maxBuffer: 2 ** 24 })
  const [packed] = JSON.parse(stdout) as [{ files: readonly { path: string; size: number }[] }]
  for (const { path, size } of packed.files) files.set(path, size)
}, 60_000)

const pages = (): string[] => [...files.keys()].filter((path) => path.endsWith('.md'))

function linksOf(text: string): string[] {
  return Array.from(text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g), ([, target = '']) => target)
}

describe('the package', () => {
  it('has the documents, and their links lead to what is in it', async () => {
    expect(pages()).toEqual(expect.arrayContaining(['README.md', 'docs/getting-started.md', 'docs/api/stateward.md']))
    const broken: string[] = []
    for (const page of pages()) {
      for (const target of linksOf(await readFile(join(root, page), 'utf8'))) {
        if (/^[a-z]+:/.test(target)) continue
        const path = normalize(join(dirname(page), target))
        const isThere = files.has(path) || [...files.keys()].some((file) => file.startsWith(`${path}/`))
        if (!isThere) broken.push(`${page}: ${target}`)
      }
    }
    expect(broken).toEqual([])
  })

  it('invents no address: what its documents and its manifest link to is known', async () => {
    const hosts = new Set<string>()
    for (const path of [...pages(), 'package.json']) {
      const text = await readFile(join(root, path), 'utf8')
      for (const [, host = ''] of text.matchAll(/https?:\/\/([^/\s)"'`:]+)/g)) hosts.add(host)
    }
    const known = new Set([
      '127.0.0.1',
      'fast-check.dev',
      'restate.dev',
      'semver.org',
      'standardschema.dev',
      'stately.ai',
    ])
    expect(hosts).toContain('stately.ai')
    expect([...hosts].filter((host) => !known.has(host) && !/(^|\.)example(\.(com|org))?$/.test(host))).toEqual([])
  })

  it('carries no sources, maps or tools', () => {
    const odd = [...files.keys()].filter((path) =>
      /\.map$|^(src|machines|actors|test|bench|tools|docs\/tools)\/.*\.m?ts$/.test(path),
    )
    expect(odd).toEqual([])
  })
})
