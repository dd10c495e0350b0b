import { expect, it } from 'vitest'
import { defineErrors } from '../../src/base/define-errors.js'
import { StatewardError } from '../../src/base/errors.js'

const BankError = defineErrors('BankError', {
  overdrawn: ({ balance }: { readonly balance: number }) => `only ${balance} left`,
  closed: () => 'the bank is closed',
})

it('an error of a catalogue says what follows from its data, and is known by its code', () => {
  const cause = new Error('why')
  const error = new BankError('overdrawn', { balance: 3 }, { cause })
  const balance: number = error.data.balance
  expect([error.name, error.code, error.message, balance, error.cause]).toEqual([
    'BankError',
    'overdrawn',
    'only 3 left',
    3,
    cause,
  ])
  expect(error).toBeInstanceOf(BankError)
  expect(StatewardError.is(error, 'overdrawn')).toBe(true)
  expect(String(new BankError('closed', {}))).toBe('BankError: the bank is closed')
})

it('a code takes its own data, and no other', () => {
  // @ts-expect-error the balance is missing
  expect(() => new BankError('overdrawn', {}).message).not.toThrow()
  // @ts-expect-error there is no such code
  expect(() => new BankError('robbed', {})).toThrow(TypeError)
})
