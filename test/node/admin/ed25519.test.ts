import { describe, expect, it } from 'vitest'
import { createSeed, KeyPair, VerifyingKey } from '../../../src/node/admin/ed25519.js'
import { nodeIdOf, operatorIdOf } from '../../../src/node/admin/identity.js'
import { hasSmallOrder } from '../../../src/node/admin/small-order.js'
import { anna, ben } from './support/operators.js'

const bytes = (hex: string): Uint8Array => Buffer.from(hex, 'hex')

/** RFC 8032, section 7.1, tests 1 and 3. */
const vectors = [
  {
    seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    publicKey: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    message: '',
    signature:
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    seed: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    publicKey: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    message: 'af82',
    signature:
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  },
] as const

describe('keys', () => {
  it.each(vectors)(
    '[N-300] sign and verify as RFC 8032 says: $publicKey',
    ({ seed, publicKey, message, signature }) => {
      const key = KeyPair.fromSeed(bytes(seed))
      expect(key.publicKey).toBe(publicKey)
      expect(key.sign(bytes(message))).toBe(signature)
      expect(new VerifyingKey(publicKey).verifies(bytes(message), signature)).toBe(true)
      expect(new VerifyingKey(publicKey).verifies(bytes(`${message}00`), signature)).toBe(false)
    },
  )

  it('[N-300] without their private half sign nothing', () => {
    const key = KeyPair.fromPublicKey(anna.publicKey)
    expect(key.canSign).toBe(false)
    expect(key.trySign(bytes('00'))).toBeUndefined()
    expect(() => key.sign(bytes('00'))).toThrow(expect.objectContaining({ code: 'admin.public_key_only' }))
    expect(anna.canSign).toBe(true)
  })

  it.each([new Uint8Array(31), new Uint8Array(33), 'secret' as unknown as Uint8Array])(
    'are made of 32 bytes and nothing else: %j',
    (seed) => {
      expect(() => KeyPair.fromSeed(seed)).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    },
  )

  it('are made of what the source of randomness gives', () => {
    expect(createSeed((target) => target.fill(7))).toEqual(new Uint8Array(32).fill(7))
    expect(createSeed()).not.toEqual(createSeed())
  })

  it.each(['', 'xy', 'D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A', 42 as unknown as string])(
    'that are none are refused: %s',
    (text) => {
      expect(() => new VerifyingKey(text)).toThrow(expect.objectContaining({ code: 'admin.public_key_invalid' }))
    },
  )
})

describe('ids', () => {
  it('[N-302] follow from the key, and are others for operators and nodes', () => {
    // First 8 bytes of sha256('stateward.operator-id.v1\0' + key), worked out with another program.
    const { publicKey } = vectors[0]
    expect(operatorIdOf(publicKey)).toBe('e8df17838bb087d3')
    expect(nodeIdOf(publicKey)).toBe('a892284e4459f422')
    expect(operatorIdOf(anna.publicKey)).not.toBe(operatorIdOf(ben.publicKey))
  })
})

describe('strict verification', () => {
  const message = bytes('00ff')
  const signature = anna.sign(message)
  const key = new VerifyingKey(anna.publicKey)

  it('[N-301] takes no other form of a signature that holds', () => {
    expect(key.verifies(message, signature)).toBe(true)
    // The scalar plus the order of the group signs the same by the bare equation.
    const scalar = littleEndian(bytes(signature.slice(64))) + groupOrder
    const altered = signature.slice(0, 64) + toLittleEndian(scalar)
    expect(altered).toHaveLength(128)
    expect(key.verifies(message, altered)).toBe(false)
    expect(key.verifies(message, signature.toUpperCase())).toBe(false)
    expect(key.verifies(message, `${signature}00`)).toBe(false)
    expect(key.verifies(message, signature.slice(2))).toBe(false)
    expect(key.verifies(message, `${signature}zz`)).toBe(false)
    expect(key.verifies(message, '')).toBe(false)
  })

  it('[N-301] knows every point of small order, and takes none for a key or in a signature', () => {
    const found = smallOrderPoints()
    // Five values of y, two of which can be written unreduced, with either sign.
    expect(found).toHaveLength(14)
    for (const point of found) {
      expect(hasSmallOrder(bytes(point))).toBe(true)
      expect(() => new VerifyingKey(point)).toThrow(expect.objectContaining({ code: 'admin.public_key_invalid' }))
      expect(key.verifies(message, point + signature.slice(64))).toBe(false)
    }
    expect(hasSmallOrder(bytes(anna.publicKey))).toBe(false)
  })
})

const prime = 2n ** 255n - 19n
const groupOrder = 2n ** 252n + 27742317777372353535851937790883648493n
const curve = mod(-121665n * power(121666n, prime - 2n))

function mod(value: bigint): bigint {
  return ((value % prime) + prime) % prime
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let square = mod(base), left = exponent; left > 0n; left >>= 1n, square = mod(square * square)) {
    if ((left & 1n) === 1n) result = mod(result * square)
  }
  return result
}

const inverse = (value: bigint): bigint => power(value, prime - 2n)

type Point = readonly [x: bigint, y: bigint]

function add([x1, y1]: Point, [x2, y2]: Point): Point {
  const product = mod(curve * x1 * x2 * y1 * y2)
  return [mod((x1 * y2 + x2 * y1) * inverse(1n + product)), mod((y1 * y2 + x1 * x2) * inverse(1n - product))]
}

function rootOf(square: bigint): bigint | undefined {
  const candidate = power(square, (prime + 3n) / 8n)
  for (const root of [candidate, mod(candidate * power(2n, (prime - 1n) / 4n))]) {
    if (mod(root * root) === mod(square)) return root
  }
  return undefined
}

function xOf(y: bigint): bigint | undefined {
  return rootOf(mod((y * y - 1n) * inverse(mod(curve * y * y + 1n))))
}

/** Points that eight times themselves are nothing, by arithmetic alone, in every encoding that they have. */
function smallOrderPoints(): readonly string[] {
  const found = new Set<string>()
  for (let y = 2n; found.size === 0; y += 1n) {
    const x = xOf(y)
    if (x === undefined) continue
    // The order of the curve is eight times that of the group: what is left behind it has small order.
    const torsion = times(groupOrder, [x, y])
    let point: Point = [0n, 1n]
    const cycle: Point[] = []
    do {
      point = add(point, torsion)
      cycle.push(point)
    } while (point[0] !== 0n || point[1] !== 1n)
    if (cycle.length < 8) continue
    for (const [, ordinate] of cycle) {
      for (const written of [ordinate, ordinate + prime]) {
        if (written >= 2n ** 255n) continue
        for (const sign of [0n, 1n]) found.add(toLittleEndian(written | (sign << 255n)))
      }
    }
  }
  return [...found]
}

function times(factor: bigint, point: Point): Point {
  let result: Point = [0n, 1n]
  for (let double = point, left = factor; left > 0n; left >>= 1n, double = add(double, double)) {
    if ((left & 1n) === 1n) result = add(result, double)
  }
  return result
}

function littleEndian(source: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(source.toReversed()).toString('hex')}`)
}

function toLittleEndian(value: bigint): string {
  return Buffer.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex').toReversed()).toString('hex')
}
