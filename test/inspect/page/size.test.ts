import { rmSync, readdirSync, readFileSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { buildPage } from '../../../tools/page.mjs'

it('is a page of less than 150 kB when it is packed, and needs nothing of Node', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'stateward-page-'))
  try {
    await buildPage(folder)
    const files = readdirSync(folder).map((name) => readFileSync(join(folder, name)))
    expect(files.reduce((sum, bytes) => sum + gzipSync(bytes).length, 0)).toBeLessThan(150_000)
    expect(readFileSync(join(folder, 'page.js'), 'utf8')).not.toMatch(/from\s*["']|import\(|require\(/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
