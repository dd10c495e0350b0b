import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OutputFile, parseOutputs } from '../../src/cli/tool-outputs.js'

describe('what a tool passes on', () => {
  it.each([
    ['', {}],
    ['version=1.2\n', { version: '1.2' }],
    ['a=1\r\n\nb=x=y z \n', { a: '1', b: 'x=y z ' }],
    ['a=1\na=2', { a: '2' }],
    ['a=', { a: '' }],
    ['__proto__=1', JSON.parse('{"__proto__":"1"}')],
  ])('is read from %j', (text, expected) => {
    expect(parseOutputs(text)).toEqual(expected)
  })

  it.each([
    ['a=1\nversion', 'line 2', 'expected name=value'],
    ['=1', 'line 1', 'expected name=value'],
    ['a b=1', 'line 1', 'expected name=value'],
    ['a=1\0', 'line 1', 'holds a NUL character'],
    [Array.from({ length: 101 }, (_, index) => `a${index}=1`).join('\n'), 'line 101', 'more than 100 outputs'],
  ])('is refused in %j', (text, field, reason) => {
    expect(() => parseOutputs(text)).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: { subject: 'outputs', field, reason } }),
    )
  })
})

describe('the file for outputs', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stateward-outputs-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('is there for the tool, is read, and is gone then', () => {
    const file = new OutputFile(folder, 'one')
    writeFileSync(file.path, 'a=1\n')
    expect(file.read()).toEqual({ a: '1' })
    file[Symbol.dispose]()
    expect(existsSync(file.path)).toBe(false)
  })

  it.each<[string, (path: string) => void, unknown]>([
    ['nothing', () => {}, {}],
    ['a directory', (path) => mkdirSync(path), 'not a plain file'],
    ['a pipe that nobody writes to', (path) => execFileSync('mkfifo', [path]), 'not a plain file'],
    ['a link', (path) => symlinkSync('/etc/passwd', path), 'not a plain file that can be read'],
    ['too much', (path) => writeFileSync(path, `a=${'x'.repeat(65_536)}`), 'more than 65536 bytes'],
    ['bytes', (path) => writeFileSync(path, Buffer.from([0x61, 0x3d, 0xff])), 'not UTF-8'],
  ])('may have been replaced by %s', (_, replace, expected) => {
    using file = new OutputFile(folder, 'one')
    rmSync(file.path)
    replace(file.path)
    if (typeof expected === 'object') return expect(file.read()).toEqual(expected)
    expect(() => file.read()).toThrow(expect.objectContaining({ data: expect.objectContaining({ reason: expected }) }))
  })
})
