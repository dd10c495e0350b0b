import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { strictSchema } from '../../base/options.js'
import type { OperatorId } from '../ids.js'
import { KeyPair } from './ed25519.js'
import { AdminError } from './errors.js'
import { operatorIdOf } from './identity.js'
import { readPrivateFile, writePrivateFile } from './private-file.js'

const mostBytes = 4096

const secretPattern = /^[0-9a-f]{64}$/

const keyFileSchema = strictSchema({
  type: v.literal('stateward_admin_key', 'not the key file of an operator'),
  version: v.literal(1, 'another version of the format'),
  operator_id: v.string(),
  public_key: v.string(),
  private_key: v.pipe(v.string(), v.regex(secretPattern, 'not 64 lower-case hexadecimal digits')),
})

/** The key of an operator as stored in its file. */
export interface OperatorKey {
  readonly operatorId: OperatorId
  readonly key: KeyPair
}

/**
 * Writes an operator's key to a file that only its owner can read. The secret is stored unencrypted. Raises
 * `admin.file_exists` and `admin.file_unusable`.
 */
export async function writeKeyFile(path: string, seed: Uint8Array): Promise<OperatorKey> {
  const key = KeyPair.fromSeed(seed)
  const operatorId = operatorIdOf(key.publicKey)
  const content = {
    type: 'stateward_admin_key',
    version: 1,
    operator_id: operatorId,
    public_key: key.publicKey,
    private_key: Buffer.from(seed).toString('hex'),
  }
  await writePrivateFile(path, `${JSON.stringify(content, undefined, 2)}\n`)
  return { operatorId, key }
}

/**
 * Reads an operator's key. Raises `admin.file_exposed` when another user can read or change the file or owns it,
 * `admin.file_unusable` when it cannot be read or its two halves do not match, and `invalid_input` for other malformed
 * content. No error reveals any of the content.
 */
export async function readKeyFile(path: string): Promise<OperatorKey> {
  const text = await readPrivateFile(path, 'secret', mostBytes)
  const content = decode(keyFileSchema, parse(text, path), `key file ${path}`)
  const key = KeyPair.fromSeed(Buffer.from(content.private_key, 'hex'))
  const operatorId = operatorIdOf(key.publicKey)
  if (key.publicKey !== content.public_key || operatorId !== content.operator_id) {
    throw new AdminError('admin.file_unusable', { path, reason: 'its public half is not that of its private half' })
  }
  return { operatorId, key }
}

/** The error of a JSON parser quotes the text, which here would be a secret. */
function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new AdminError('admin.file_unusable', { path, reason: 'it is not JSON' })
  }
}
