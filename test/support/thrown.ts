import * as moduleNamespace from './module-namespace.js'

/** What is said of a value that gives away nothing. */
const noText = 'a value that has no text'

function errorWith(change: (error: Error) => void): Error {
  const error = new Error('the message')
  change(error)
  return error
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

function throwing(): never {
  throw new Error('nobody may look')
}

/** Values that a function can throw although they have no text, or not the one their type promises, and what is said of them. */
export const strangeThrows: readonly (readonly [name: string, make: () => unknown, text: string])[] = [
  ['an object without a prototype', () => Object.assign(Object.create(null), { status: 500 }), '{ status: 500 }'],
  ['an object whose toString throws', () => ({ toString: throwing }), '{ toString: a function }'],
  ['an object whose toString gives none', () => ({ toString: () => ({}) }), '{ toString: a function }'],
  ['a module namespace', () => moduleNamespace, '{ answer: 42 }'],
  ['a proxy that throws', () => new Proxy({}, { get: throwing, has: throwing, ownKeys: throwing }), noText],
  ['a revoked proxy', revoked, noText],
  [
    'a proxy of an error that throws',
    () => new Proxy(new Error('inner'), { get: throwing, getPrototypeOf: throwing, ownKeys: throwing }),
    noText,
  ],
  [
    'an error whose message throws',
    () => errorWith((error) => Object.defineProperty(error, 'message', { get: throwing })),
    'an error whose message cannot be read',
  ],
  [
    'an error whose message is an object',
    () => errorWith((error) => Object.assign(error, { message: { code: 42 } })),
    '{ code: 42 }',
  ],
  ['an error whose message is a number', () => errorWith((error) => Object.assign(error, { message: 7 })), '7'],
  [
    'an error whose message is undefined',
    () => errorWith((error) => Object.assign(error, { message: undefined })),
    'Error',
  ],
  [
    'an error whose message has no text',
    () => errorWith((error) => Object.assign(error, { message: Object.create(null) })),
    '{}',
  ],
  [
    'an error whose name, stack and cause are no such things',
    () => errorWith((error) => Object.assign(error, { name: {}, stack: 3, cause: revoked() })),
    'the message',
  ],
  [
    'an error whose stack throws',
    () => errorWith((error) => Object.defineProperty(error, 'stack', { get: throwing })),
    'the message',
  ],
  ['what looks like an error', () => ({ message: 'rate limited', status: 429 }), 'rate limited'],
  ['a symbol', () => Symbol('mark'), 'Symbol(mark)'],
  ['a BigInt', () => 5n, '5n'],
  ['nothing', () => undefined, 'undefined'],
  ['a function', () => throwing, 'a function'],
  [
    'what only claims to be an error of this library',
    () => ({ [Symbol.for('stateward.error')]: true, code: { not: 'a code' } }),
    '{ code: { not: "a code" } }',
  ],
]

/** Results that JSON cannot say, and what is said of them. */
export const unsayableResults: readonly (readonly [name: string, make: () => unknown, reason: string])[] = [
  ['a BigInt', () => ({ count: 10n }), 'count: a bigint has no form in JSON'],
  ['bytes in another guise', () => new Float64Array(8), 'an instance of Float64Array has no form in JSON'],
  ['a circle', circle, 'self: it contains itself'],
  [
    'a getter that throws',
    () => Object.defineProperty({}, 'a', { enumerable: true, get: throwing }),
    'nobody may look',
  ],
  ['a date', () => ({ at: [new Date(0)] }), 'at.0: an instance of Date has no form in JSON'],
  ['not a number', () => [Number.NaN], '0: NaN has no form in JSON'],
  ['a map', () => new Map([['a', 1]]), '$: an instance of Map has no form in JSON'],
  ['a function', () => ({ run: throwing }), 'run: a function has no form in JSON'],
]

function circle(): unknown {
  const self: { self?: unknown } = {}
  self.self = self
  return self
}
