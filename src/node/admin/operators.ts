import * as v from 'valibot'
import { decode, decodeJson } from '../../base/decode.js'
import { optionsSchema, strictSchema, wholeNumberSchema } from '../../base/options.js'
import { labelSchema } from '../scalars.js'
import type { OperatorId } from '../ids.js'
import { VerifyingKey, type PublicKeyText } from './ed25519.js'
import { AdminError } from './errors.js'
import { operatorIdOf } from './identity.js'
import { readPrivateFile } from './private-file.js'

/** A trusted operator. */
export interface Operator {
  readonly operatorId: OperatorId
  readonly publicKey: PublicKeyText
  /** For display only; it proves nothing. */
  readonly name?: string
}

/** An operator to register; the id is derived from the key. */
export interface OperatorOptions {
  readonly publicKey: PublicKeyText
  readonly name?: string
}

/** The maximum number of operators in a registry. */
const mostOperators = 1024

const mostFileBytes = 2 ** 20

const operatorsSchema = v.pipe(
  v.array(
    optionsSchema<OperatorOptions>({ publicKey: v.string('not text'), name: v.optional(labelSchema) }),
    'not a list of operators',
  ),
  v.maxLength(mostOperators, `more than ${mostOperators} operators`),
)

/** The operators who may administer, by the id derived from their public key. Immutable. */
export class OperatorRegistry {
  readonly #operators: ReadonlyMap<string, { readonly operator: Operator; readonly key: VerifyingKey }>

  /**
   * Raises `invalid_input`, `admin.public_key_invalid`, and `admin.operator_conflict` for a key that is listed twice.
   */
  constructor(operators: readonly OperatorOptions[]) {
    const known = new Map<string, { readonly operator: Operator; readonly key: VerifyingKey }>()
    for (const { publicKey, name } of decode(operatorsSchema, operators, 'operators')) {
      const key = new VerifyingKey(publicKey)
      const operatorId = operatorIdOf(publicKey)
      if (known.has(operatorId)) throw new AdminError('admin.operator_conflict', { operatorId })
      known.set(operatorId, { operator: { operatorId, publicKey, ...(name !== undefined && { name }) }, key })
    }
    this.#operators = known
  }

  get size(): number {
    return this.#operators.size
  }

  /** All registered operators. */
  operators(): readonly Operator[] {
    return Array.from(this.#operators.values(), ({ operator }) => operator)
  }

  /** @internal The key that verifies the operator's signatures. */
  keyOf(operatorId: OperatorId): VerifyingKey | undefined {
    return this.#operators.get(operatorId)?.key
  }
}

/** The content of an operators file: whom to trust, and how many of them must sign to break the glass. */
export interface OperatorsFile {
  readonly operators: OperatorRegistry
  /** How many operators must sign to break the glass, if the file says so. */
  readonly iceThreshold?: number
}

const operatorsFileSchema = strictSchema({
  type: v.literal('stateward_operators', 'not a file of operators'),
  version: v.literal(1, 'another version of the format'),
  operators: v.pipe(
    v.array(strictSchema({ public_key: v.string('not text'), name: v.exactOptional(labelSchema) })),
    v.maxLength(mostOperators, `more than ${mostOperators} operators`),
  ),
  ice_threshold: v.exactOptional(wholeNumberSchema(1, mostOperators)),
})

/**
 * Reads the operators that a node trusts. Other users may read the file but must not be able to change it.
 *
 * Raises `admin.file_exposed`, `admin.file_unusable`, `invalid_input`, `admin.public_key_invalid`,
 * `admin.operator_conflict`.
 */
export async function readOperatorsFile(path: string): Promise<OperatorsFile> {
  const text = await readPrivateFile(path, 'trusted', mostFileBytes)
  const content = decodeJson(operatorsFileSchema, text, { subject: `operators file ${path}`, maxBytes: mostFileBytes })
  const operators = new OperatorRegistry(
    content.operators.map(({ public_key, name }) => ({ publicKey: public_key, ...(name !== undefined && { name }) })),
  )
  return { operators, ...(content.ice_threshold !== undefined && { iceThreshold: content.ice_threshold }) }
}
