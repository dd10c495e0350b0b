import { InvalidInputError } from './errors.js'
import { isNilUuid, isUuid, type IdSource } from './ids.js'
import { textOf } from './options.js'

/** How many recent ids are remembered in order to detect a repetition. */
const remembered = 4096

/**
 * Checks a caller's source of ids. The call that asks for an id throws `invalid_input` if the id is not a lower-case
 * UUID, is the nil UUID, or repeats one of the last 4,096.
 */
export function checkedIds(source: IdSource): IdSource {
  const recent = new Set<string>()
  return {
    uuid() {
      const id = mint(source)
      if (!isUuid(id)) refuse(`not a lower-case UUID: ${textOf(id)}`)
      if (isNilUuid(id)) refuse('the nil UUID')
      if (recent.has(id)) refuse(`came before: ${id}`)
      recent.add(id)
      if (recent.size > remembered) recent.delete(recent.values().next().value as string)
      return id
    },
  }
}

function mint(source: IdSource): unknown {
  try {
    return source.uuid()
  } catch (cause) {
    throw new InvalidInputError({ subject: 'id source', field: 'uuid', reason: 'threw' }, { cause })
  }
}

function refuse(reason: string): never {
  throw new InvalidInputError({ subject: 'id source', field: 'uuid', reason })
}
