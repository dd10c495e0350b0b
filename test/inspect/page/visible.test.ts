import { expect, it } from 'vitest'
import { showAll, visible } from '../../../src/inspect/page/parts/visible.js'

it('writes out what is not seen but changes how the rest is shown', () => {
  expect(visible('a\u001B[31mred\u0007')).toBe('a␛[31mred␇')
  expect(visible('report\u202Efdp.exe')).toBe('report<202E>fdp.exe')
  expect(visible('שלום, 日本語 👩‍👩‍👧\n\tas it is')).toBe('שלום, 日本語 👩‍👩‍👧\n\tas it is')
})

it('does so for every text of an element, and cuts what is too long to be drawn', () => {
  const long = 'x'.repeat(1_000_000)
  const element = { type: 'a', props: { children: ['\u202Eone', [long], 3, null], title: '\u001B', href: '#\u001B' } }
  showAll(element)
  expect(element.props).toEqual({
    children: ['<202E>one', [`${'x'.repeat(20_000)}… (1000000 characters)`], 3, null],
    title: '␛',
    href: '#\u001B',
  })
})
