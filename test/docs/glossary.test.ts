import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Exports, wordsOf } from '../../tools/docs/exports.js'
import { clashesOf, glossaryOf, unusedWordsIn, type EntryPoint } from './support/glossary.js'

/** What the glossary asks for and the package does not do yet. To be emptied: what is mended has to go from here. */
const known = {
  /** Names that mean two things. */
  clashes: [] as readonly string[],
  /** Names with a word that is not used. */
  names: [] as readonly string[],
  /** Types that are not there. */
  types: [] as readonly string[],
}

const root = join(import.meta.dirname, '../..')
const glossary = glossaryOf(readFileSync(join(root, 'docs/glossary.md'), 'utf8'))

interface Package {
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>
}

/** The entry points that package.json names, by their sources. */
const entryPoints: readonly EntryPoint[] = (() => {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Package
  const modules = Exports.in(root)
  return Object.entries(exports).flatMap(([name, target]) => {
    if (typeof target === 'string') return []
    const source = target.types.replace(/^\.\/dist\//, '').replace(/\.d\.ts$/, '.ts')
    return [{ name, exports: modules.of(source) }]
  })
})()

const names = new Set(entryPoints.flatMap(({ exports }) => [...exports.keys()]))

describe('the glossary', () => {
  it('looks at every entry point', () => {
    expect(entryPoints.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['.', './machines', './tasks', './inspect', './testing']),
    )
    for (const { exports } of entryPoints) expect(exports.size).toBeGreaterThan(2)
    expect(names).toContain('createRuntime')
  })

  it('defines each word once, and none that is not used', () => {
    const words = glossary.words.map(({ word }) => word)
    expect(words.length).toBeGreaterThan(40)
    expect(words.filter((word, index) => words.indexOf(word) !== index)).toEqual([])
    expect(words.filter((word) => glossary.unused.includes(word))).toEqual([])
    expect(glossary.words.filter(({ meaning }) => meaning === '')).toEqual([])
    const types = glossary.words.flatMap((entry) => entry.types)
    expect(types.filter((type, index) => types.indexOf(type) !== index)).toEqual([])
  })

  it('has no exported name that means two things', () => {
    expect(clashesOf(entryPoints)).toEqual(known.clashes)
  })

  it('has no exported name with a word that is not used', () => {
    expect(unusedWordsIn(names, glossary.unused)).toEqual(known.names)
  })

  it('has every type that it names', () => {
    const missing = glossary.words.flatMap(({ types }) => types.filter((type) => !names.has(type)))
    expect(missing.toSorted()).toEqual(known.types)
  })
})

describe('the check of the glossary', () => {
  it('reads words, types and what is not used', () => {
    const page = [
      '| word | meaning | public type |',
      '| --- | --- | --- |',
      '| **door** | opens. | `Door`, `DoorId` |',
      '| **idle wake** | wakes. | |',
      '',
      '| not | but |',
      '| --- | --- |',
      '| gate, passed by | door |',
    ].join('\n')
    expect(glossaryOf(page)).toEqual({
      words: [
        { word: 'door', meaning: 'opens.', types: ['Door', 'DoorId'] },
        { word: 'idle wake', meaning: 'wakes.', types: [] },
      ],
      unused: ['gate', 'passed by'],
    })
  })

  it('takes names apart into words, and finds one that is not used, also of two words', () => {
    expect(wordsOf('isHTTPDoor2Open_ms')).toEqual(['is', 'http', 'door2', 'open', 'ms'])
    const unused = ['gate', 'passed by']
    expect(unusedWordsIn(new Set(['openGate', 'Gates', 'passedByAll', 'passedOnBy']), unused)).toEqual([
      'openGate: gate',
      'passedByAll: passed by',
    ])
  })

  it('follows names to their declarations, through lists, renaming and stars', () => {
    const files: Readonly<Record<string, string>> = {
      'one.ts': "export * from './deep/door.js'\nexport { Gate as Way, type Key } from './gate.js'\n",
      'two.ts': "import { Door } from './deep/door.js'\nexport { Door }\nexport type Key = string\n",
      'three.ts': "export type * from './one.js'\nexport { Observable } from 'rxjs'\n",
      'deep/door.ts': 'export class Door {}\n',
      'gate.ts': 'export interface Gate {\n  key: string\n}\nexport const Key = 1\n',
    }
    const modules = new Exports((file) => files[file] ?? '')
    const entries = ['one', 'two', 'three'].map((name) => ({ name, exports: modules.of(`${name}.ts`) }))
    expect(Object.fromEntries(modules.of('three.ts'))).toEqual({
      Door: 'deep/door.ts#Door',
      Way: 'gate.ts#Gate',
      Key: 'gate.ts#Key',
      Observable: 'package rxjs#Observable',
    })
    expect(clashesOf(entries)).toEqual(['Key'])
  })

  it('refuses exports that it cannot read', () => {
    for (const text of ['export default 1', "export * as all from './a.js'", 'export const { a } = b']) {
      expect(() => new Exports(() => text).of('a.ts')).toThrow('not understood')
    }
  })
})
