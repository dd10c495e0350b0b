import { describe, expect, it } from 'vitest'
import { conditionHolds } from '../../src/cli/condition.js'
import { expand, maxExpandedLength, parseTemplate, type Scope } from '../../src/cli/template.js'

const variables: Readonly<Record<string, string>> = { NAME: 'value', EMPTY: '', TRICK: 'a == a', NESTED: '${NAME}' }
const scope: Scope = {
  variable: (name) => variables[name],
  output: (tool, name) => (tool === 'test.unit-1' && name === 'version' ? '1.2' : undefined),
}

describe('a text with references', () => {
  it.each([
    ['', ''],
    ['plain', 'plain'],
    ['${NAME}', 'value'],
    ['a ${NAME} and ${NAME}.', 'a value and value.'],
    ['${NAME:-other}', 'value'],
    ['${EMPTY}', ''],
    ['${EMPTY:-other}', 'other'],
    ['${UNSET:-}', ''],
    ['${UNSET:-with spaces: and $NAME}', 'with spaces: and $NAME'],
    ['${test.unit-1.version}', '1.2'],
    ['${test.unit-1.other:-none}', 'none'],
    ['$NAME $$ $1 $(date) {NAME}', '$NAME $$ $1 $(date) {NAME}'],
    ['$${NAME}', '${NAME}'],
    ['$$${NAME}', '$${NAME}'],
    // Values are never looked into.
    ['${NESTED}', '${NAME}'],
  ])('%j becomes %j', (source, expected) => {
    expect(expand(parseTemplate(source), scope)).toBe(expected)
  })

  it.each(['${', '${}', '${1}', '${A-b}', '${A:=b}', '${A:-${B}}', '${A B}', '${.x}', 'x ${toString'])(
    'is refused when it holds %j',
    (source) => {
      expect(() => parseTemplate(source)).toThrow(expect.objectContaining({ code: 'bad_reference' }))
    },
  )

  it.each([
    ['${UNSET}', 'the variable UNSET is not set, and ${UNSET} has no default'],
    ['${build.version}', 'build has set no output version, and ${build.version} has no default'],
  ])('is refused without a value for %s', (source, message) => {
    expect(() => expand(parseTemplate(source), scope)).toThrow(
      expect.objectContaining({ code: 'unset_reference', message }),
    )
  })

  it('does not grow without bound', () => {
    const long = { ...scope, variable: () => 'x'.repeat(1000) }
    const fits = '${A}'.repeat(Math.floor(maxExpandedLength / 1000))
    expect(expand(parseTemplate(fits), long)).toHaveLength(131_000)
    expect(() => expand(parseTemplate(`${fits}\${A}`), long)).toThrow(
      expect.objectContaining({ code: 'expansion_too_long' }),
    )
  })
})

describe('a condition', () => {
  it.each([
    ['${NAME}', true],
    ['yes', true],
    ['${EMPTY}', false],
    ['${UNSET:-}', false],
    ['0', false],
    ['False', false],
    [' ', false],
    ['${NAME} == value', true],
    ['${NAME} == other', false],
    ['${NAME} != other', true],
    ['value == ${NAME}', true],
    ['x${EMPTY} != x', false],
    ['${UNSET:-} == ', true],
    ['a == a == a', false],
    ['${test.unit-1.version} == 1.2', true],
    // What a value holds is compared, and compares nothing.
    ['${TRICK}', true],
    ['${TRICK} == a == a', true],
    ['${UNSET:-a == b}', true],
  ])('%j holds: %s', (source, holds) => {
    expect(conditionHolds(parseTemplate(source), scope)).toBe(holds)
  })
})
