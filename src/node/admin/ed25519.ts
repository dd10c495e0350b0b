import { createPrivateKey, createPublicKey, randomFillSync, sign, verify, type KeyObject } from 'node:crypto'
import { InvalidInputError } from '../../base/errors.js'
import { textOf } from '../../base/options.js'
import { hasSmallOrder } from './small-order.js'
import { AdminError } from './errors.js'

/** The 32 bytes of a public key, as 64 lower-case hex digits. */
export type PublicKeyText = string

/** The 64 bytes of a signature, as 128 lower-case hex digits. */
export type SignatureText = string

const seedBytes = 32
const signatureBytes = 64

/** The DER prefixes of the 32 bytes of a private and of a public key (RFC 8410). */
const privatePrefix = Buffer.from('302e020100300506032b657004220420', 'hex')
const publicPrefix = Buffer.from('302a300506032b6570032100', 'hex')

const publicKeyPattern = /^[0-9a-f]{64}$/

/**
 * Creates the secret of a new key: 32 random bytes. `random` fills an array; the default is the system's random source.
 */
export function createSeed(random: (bytes: Uint8Array) => void = randomFillSync): Uint8Array {
  const seed = new Uint8Array(seedBytes)
  random(seed)
  return seed
}

/** An ed25519 public key with strict verification: no altered form of a valid signature is accepted. */
export class VerifyingKey {
  readonly text: PublicKeyText
  readonly #key: KeyObject

  /**
   * Raises `admin.public_key_invalid` for anything but 64 lower-case hex digits, and for the few points of small order,
   * for which anybody can forge signatures.
   */
  constructor(text: PublicKeyText) {
    const refuse = (reason: string): never => {
      throw new AdminError('admin.public_key_invalid', { publicKey: textOf(text), reason })
    }
    if (typeof text !== 'string' || !publicKeyPattern.test(text)) refuse('it must have 64 lower-case hex digits')
    const bytes = Buffer.from(text, 'hex')
    if (hasSmallOrder(bytes)) refuse('it is a point of small order, under which anybody can sign')
    this.text = text
    this.#key = createPublicKey({ key: Buffer.concat([publicPrefix, bytes]), format: 'der', type: 'spki' })
  }

  /** Whether this is a signature of these bytes by the owner of the key. False for a malformed signature. */
  verifies(bytes: Uint8Array, signature: SignatureText): boolean {
    const raw = Buffer.from(signature, 'hex')
    if (raw.length !== signatureBytes || raw.toString('hex') !== signature) return false
    // OpenSSL refuses a scalar that is not reduced and compares the point byte by byte. It does not check for points of
    // small order, so we do.
    return !hasSmallOrder(raw.subarray(0, 32)) && verify(null, bytes, this.#key, raw)
  }
}

/** An ed25519 key, with or without its private half. */
export class KeyPair {
  readonly publicKey: PublicKeyText
  readonly #private: KeyObject | undefined

  private constructor(publicKey: PublicKeyText, privateKey: KeyObject | undefined) {
    this.publicKey = publicKey
    this.#private = privateKey
  }

  /**
   * The key of a 32-byte secret, such as {@link createSeed} makes. Raises `invalid_input` without revealing the secret.
   */
  static fromSeed(seed: Uint8Array): KeyPair {
    if (!(seed instanceof Uint8Array) || seed.length !== seedBytes) {
      throw new InvalidInputError({ subject: 'secret of a key', field: '$', reason: `not ${seedBytes} bytes` })
    }
    const key = createPrivateKey({ key: Buffer.concat([privatePrefix, seed]), format: 'der', type: 'pkcs8' })
    const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
    return new KeyPair(spki.subarray(publicPrefix.length).toString('hex'), key)
  }

  /** A key that can verify but not sign. Raises `admin.public_key_invalid`. */
  static fromPublicKey(publicKey: PublicKeyText): KeyPair {
    return new KeyPair(new VerifyingKey(publicKey).text, undefined)
  }

  get canSign(): boolean {
    return this.#private !== undefined
  }

  /** Signs the bytes. Raises `admin.public_key_only`. */
  sign(bytes: Uint8Array): SignatureText {
    const signature = this.trySign(bytes)
    if (signature === undefined) throw new AdminError('admin.public_key_only', { publicKey: this.publicKey })
    return signature
  }

  /** Signs the bytes; returns `undefined` if the private half is missing. */
  trySign(bytes: Uint8Array): SignatureText | undefined {
    return this.#private && sign(null, bytes, this.#private).toString('hex')
  }
}
