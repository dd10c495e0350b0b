import { expect, it } from 'vitest'
import { apiPages } from '../../tools/docs/api.js'
import { declarationsIn } from '../../tools/docs/declarations.js'

const door = `import { Key } from './key.js';
/** What a door is made of; see {@link Key}. */
export declare const woods: readonly ["oak", "ash"];
export type Wood = (typeof woods)[number];
interface Hidden {
    x: 1;
}
/**
 * Opens with a {@link Key}.
 *
 *     new Door()
 */
export declare class Door implements Disposable {
    #private;
    /** How wide, see {@link Wood}. */
    readonly width: number;
    private constructor();
    /** @internal For hinges. */
    hang(): void;
    open(key: Key): Promise<import("./key.js").Key>;
}
/** Knocks. */
export declare function knock(times: number): void;
export declare function knock(): void;
`

const files: Readonly<Record<string, string>> = {
  'door.d.ts': door,
  'key.d.ts': '/** Opens a door. */\nexport interface Key {\n    readonly teeth: number;\n}\n',
  'index.d.ts': "export { Door, knock, woods, type Wood } from './door.js';\nexport type { Key } from './key.js';\n",
  'more.d.ts': "export { Door } from './door.js';\n/** Of many keys. */\nexport type Ring = readonly Key[];\n",
}
const read = (path: string): string => files[path] ?? ''

it('reads declarations with what they say of themselves, without what is private', () => {
  const found = declarationsIn(door)
  expect([...found.keys()]).toEqual(['woods', 'Wood', 'Door', 'knock'])
  expect(found.get('Door')).toEqual([
    {
      kind: 'class',
      comment: 'Opens with a `Key`.\n\n    new Door()',
      code: [
        'class Door implements Disposable {',
        '  /** How wide, see Wood. */',
        '  readonly width: number',
        '  open(key: Key): Promise<Key>',
        '}',
      ].join('\n'),
    },
  ])
  expect(found.get('knock')?.map(({ code }) => code)).toEqual([
    'function knock(times: number): void',
    'function knock(): void',
  ])
  // What is made of the values of a list is what the list says.
  expect(found.get('Wood')?.[0]?.comment).toBe('What a door is made of; see `Key`.')
})

it('writes a page per entry point, describes each name once, and lists the pages', () => {
  const entries = [
    { name: 'house', module: 'index' },
    { name: 'house/more', module: 'more' },
  ]
  const pages = new Map(apiPages(entries, read))
  expect([...pages.keys()]).toEqual(['README.md', 'house.md', 'house-more.md'])
  expect(pages.get('README.md')).toContain('- [`house/more`](house-more.md)')
  const headings = (page: string): readonly string[] => page.split('\n').filter((line) => line.startsWith('#'))
  expect(headings(pages.get('house.md') ?? '')).toEqual([
    '# `house`',
    '## Functions, classes and values',
    '### Door',
    '### knock',
    '### woods',
    '## Types',
    '### Key',
    '### Wood',
  ])
  expect(headings(pages.get('house-more.md') ?? '')).toEqual(['# `house/more`', '## Types', '### Ring'])
  expect(pages.get('house-more.md')).toContain('Described elsewhere: [Door](house.md#door).')
})

it('refuses an export that says nothing of itself', () => {
  const silent = { 'index.d.ts': 'export declare const mute: 1;\n' }[`index.d.ts`]
  expect(() => apiPages([{ name: 'house', module: 'index' }], () => silent)).toThrow(
    'exported without a doc comment: house: mute',
  )
})
